"""The suites that ship with the program: TOML files, named in `--suite` without their suffix. Data only."""
