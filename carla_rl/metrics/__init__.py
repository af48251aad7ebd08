"""What a drive was worth: scores from raw events, one result an episode, summaries, and offline errors. Pure readers of the loop."""
