"""The choice among strategies: what is known of f, what each would cost, a trial, and what was chosen before."""
