"""Signal processing on numpy arrays: beats, metrics and the Genesis Map, without I/O, processes or clocks."""
