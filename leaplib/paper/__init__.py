"""The paper beside ours: every figure, table and claim, from saved results alone."""
