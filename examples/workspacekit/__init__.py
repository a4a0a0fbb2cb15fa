"""What the tables of examples/robot-workspace are drawn from."""
