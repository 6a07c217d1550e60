"""Robot models: each builder adds one robot of `core.robots` to a MuJoCo scene."""
