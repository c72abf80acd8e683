"""The event loop and the process: tasks, the timer, signals, forks, workers. Knows nothing of sessions."""
