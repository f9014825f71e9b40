"""What is asked after every optimizer step: the step against what was promised, and against the run's own history."""
