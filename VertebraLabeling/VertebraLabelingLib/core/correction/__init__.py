"""Correcting a labelled column by hand: pure functions from one `Column` to the next, and their history.

A spine has the regular order of levels, but for the irregular ones that the column itself shows (`order.order_of`): a
point named T13 or L6, or T11 lying directly over L1 (no T12), or L4 over S1 (no L5).  The rules follow from that order:

* `relabel.shifted` walks along it, so a T13 or L6, or the lack of a T12 or L5, stays, one level off like the rest.
  A shift after which the column would no longer show it is refused; so is one beyond C1 or S2.  Hence a shift that is
  possible can always be shifted back.
* `relabel.relabelled` "down" or "up" keeps the steps between the points (a gap stays a gap).  Where a T13 or L6 (a
  lacking T12 or L5) beyond the point can take up the difference, it does and becomes regular; what lies beyond that
  keeps its names, which were counted from the other end.
* `relabel.with_anomaly` counts from above: the n-th vertebra of the spine stays the n-th.  REGULAR undoes it.
* Points whose label is no level are left alone; positions change by `points.moved` only.
* Probability and remark are what the method said of the vertebra.  They stay when a point is renamed along with others;
  a point that the user names or places itself has probability 1 and a remark that says so.
* A confirmed (locked) point is never renamed or dropped unless the caller passes ``include_locked=True``.
"""
