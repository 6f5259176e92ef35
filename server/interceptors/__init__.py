"""What is done around every call: logging, access, load shedding and error mapping."""
