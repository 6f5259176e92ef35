"""Clean texts and values of exports."""
