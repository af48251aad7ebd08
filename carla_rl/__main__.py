"""`python -m carla_rl` is `carla-rl`."""

from carla_rl.cli.entry import main

if __name__ == "__main__":
    main()
