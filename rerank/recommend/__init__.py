"""The second stage of recommendation: features of user, item and moment, and a ranker."""
