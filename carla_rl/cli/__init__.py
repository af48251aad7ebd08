"""The command line: options, progress and tables. Every command is a thin shell around one function of the library."""
