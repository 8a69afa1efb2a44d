"""How cells are computed: forked runs, whole passes, blocks, sizes."""
