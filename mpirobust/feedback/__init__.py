"""What workers send in place of their answers, so that nothing is lost to compression: worker half and center half."""
