"""The console command `shortlist`."""
