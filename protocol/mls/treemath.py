"""Index arithmetic of the array-based tree (RFC 9420 appendix C).

A tree of `n` leaves (`n` a power of two) has `2n - 1` nodes in left-to-right order: leaf `i` is node `2i`, and a
node's number does not depend on the size of the tree, so extending or truncating a tree renumbers nothing.
"""

from __future__ import annotations


def level(node: int) -> int:
    """Height above the leaves: the number of trailing one bits."""
    return ((node + 1) & ~node).bit_length() - 1


def width(leaves: int) -> int:
    """Number of nodes of a tree of `leaves` leaves."""
    return 2 * leaves - 1


def root(leaves: int) -> int:
    """The root of a full tree of `leaves` leaves."""
    return leaves - 1


def full_size(leaves: int) -> int:
    """The smallest power of two that is at least `leaves`, and at least 1."""
    return 1 << max(leaves - 1, 0).bit_length()


def left(node: int) -> int:
    """Left child; a leaf has none (ValueError)."""
    height = level(node)
    if height == 0:
        raise ValueError("a leaf has no children")
    return node ^ (1 << (height - 1))


def right(node: int) -> int:
    """Right child; a leaf has none (ValueError)."""
    height = level(node)
    if height == 0:
        raise ValueError("a leaf has no children")
    return node ^ (3 << (height - 1))


def parent(node: int, leaves: int) -> int:
    """Parent; the root has none (ValueError)."""
    if node == root(leaves):
        raise ValueError("the root has no parent")
    height = level(node)
    return (node | (1 << height)) & ~(1 << (height + 1))


def sibling(node: int, leaves: int) -> int:
    """The other child of the node's parent; the root has none (ValueError)."""
    above = parent(node, leaves)
    return right(above) if node < above else left(above)


def direct_path(node: int, leaves: int) -> list[int]:
    """The node's ancestors, the nearest first, the root last. ValueError for a node outside the tree."""
    if not 0 <= node < width(leaves):
        raise ValueError(f"node {node} is outside a tree of {leaves} leaves")
    path: list[int] = []
    top = root(leaves)
    while node != top:
        node = parent(node, leaves)
        path.append(node)
    return path


def is_below(node: int, ancestor: int) -> bool:
    """Whether `node` is `ancestor` or under it."""
    reach = (1 << level(ancestor)) - 1
    return ancestor - reach <= node <= ancestor + reach


def leaves_below(node: int) -> range:
    """The leaf indices (not node numbers) under `node`."""
    reach = (1 << level(node)) - 1
    return range((node - reach) // 2, (node + reach) // 2 + 1)


def common_ancestor(a: int, b: int) -> int:
    """The lowest node that is both above (or equal to) `a` and `b`."""
    while not is_below(b, a):
        height = level(a)
        a = (a | (1 << height)) & ~(1 << (height + 1))
    return a
