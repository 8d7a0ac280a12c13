"""Plan + processes -> a run, new or resumed."""
