"""Windows through the gateware of a block that gives a record for each."""


def through(harness, vectors, config, arrays, patience, **options):
    """Settings and memories, then windows; no cycle without a handshake but `patience` of them in a row."""
    for address, words in vectors.register_writes(config, arrays):
        for word in words:
            harness.write(address, word)
    beats, expected = vectors.pack(config, arrays), vectors.expected_beats(config, arrays)
    result = harness.run(beats, expected, max_idle_cycles=patience, **options)
    return vectors.unpack(config, arrays, result.outputs)
