"""What stays on disk: run directories, step logs, recorded episodes; written atomically, read back with a sentence for every defect."""
