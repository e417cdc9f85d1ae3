"""Zachary's karate club: 34 members, who spends time with whom, and which side each took.

Zachary 1977, "An information flow model for conflict and fission in small groups", Journal of
Anthropological Research 33: 78 pairs of members who met outside the club. After a conflict it split
into the side of the instructor (member 0) and that of the administrator (member 33).
"""

import numpy as np

MEMBERS = 34
LATER_FRIENDS = {
    0: (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31),
    1: (2, 3, 7, 13, 17, 19, 21, 30),
    2: (3, 7, 8, 9, 13, 27, 28, 32),
    3: (7, 12, 13),
    4: (6, 10),
    5: (6, 10, 16),
    6: (16,),
    8: (30, 32, 33),
    9: (33,),
    13: (33,),
    14: (32, 33),
    15: (32, 33),
    18: (32, 33),
    19: (33,),
    20: (32, 33),
    22: (32, 33),
    23: (25, 27, 29, 32, 33),
    24: (25, 27, 31),
    25: (31,),
    26: (29, 33),
    27: (33,),
    28: (31, 33),
    29: (32, 33),
    30: (32, 33),
    31: (32, 33),
    32: (33,),
}
"""By member those with a larger number."""
INSTRUCTORS_SIDE = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 19, 21)


def pairs() -> np.ndarray:
    """The pairs of members who met, (78, 2)."""
    return np.array([(a, b) for a, others in LATER_FRIENDS.items() for b in others], np.int32)


def sides() -> np.ndarray:
    """The side of every member, (34,): 0 the instructor's, 1 the administrator's."""
    side = np.ones(MEMBERS, np.int32)
    side[list(INSTRUCTORS_SIDE)] = 0
    return side
