"""Road networks: the compiled form of an OpenDRIVE map, and routes traced on it. Both simulators read these and nothing else."""
