"""Attribution graphs: one prompt's answer, traced through transcoder features."""
