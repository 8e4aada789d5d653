"""What tests of pictures share."""


def drawn(display):
    """The display, laid out and drawn: what only that warns of is an error, too."""
    display.figure_.draw_without_rendering()
    return display
