"""What the pads of a gripper are, and what of them is felt: name -> touch, an entry per set."""

from sim2arm.sim.touch import Touch

TOUCHES: dict[str, Touch] = {
    "gel": Touch(sees=()),
    "field": Touch(),
    "image": Touch(sees=("image",)),
    "image-field": Touch(sees=("image", "field")),
}
"""`gel` makes the pads as soft as the others do and feels nothing: for teachers, and to compare."""
