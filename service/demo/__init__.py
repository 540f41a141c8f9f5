"""A demo district worth looking at (演示区): its scheme, its units, a whole cycle through the API, and the board."""
