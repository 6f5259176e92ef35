"""Readers of files that another program wrote, in bounded memory.

A bundle may come from anybody, and its digests only show that it arrived as it was made. So no
number in a file is trusted: every reader checks sizes before it reads, maps or decompresses.
"""
