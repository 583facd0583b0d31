"""The machines of a run: quota and cost."""
