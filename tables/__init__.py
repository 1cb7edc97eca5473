"""What is kept of each student, and the rules that look at it. Pure: no input or output, no clock."""
