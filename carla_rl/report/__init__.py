"""Pictures of runs: one page that opens anywhere, films and strips. All is drawn from what runs left on the disk, never during a drive."""
