"""One file for every defect that was found: each fails without the fix."""
