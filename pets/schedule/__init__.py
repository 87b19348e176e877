"""How it learns: recipes, schedules and the LR range test as pure functions."""
