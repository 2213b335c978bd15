"""One level: actor, critics and the algorithms that train them from replayed transitions."""
