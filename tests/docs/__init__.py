"""What the documentation tells to do works: the site is whole, the tutorial and the examples run."""
