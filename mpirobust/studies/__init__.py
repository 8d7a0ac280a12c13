"""Many runs under one question: the figures of the papers, and which rule stands against which attack."""
