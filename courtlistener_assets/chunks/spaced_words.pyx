# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `spaced_words.py`, which says what it does: no object for each word, and its own memory."""

import os

from cpython.unicode cimport PyUnicode_Substring
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    int PyErr_CheckSignals() except -1

cdef extern from *:
    """
    #define ONES8 0x0101010101010101ULL
    #define HIGH8 0x8080808080808080ULL
    #define ONES16 0x0001000100010001ULL
    #define HIGH16 0x8000800080008000ULL
    /* The bits below the first space of eight bytes, or of four halves; all bits if there is none. */
    static inline unsigned long long before_space8(unsigned long long block) {
        unsigned long long x = block ^ (ONES8 * 0x20);
        unsigned long long hit = (x - ONES8) & ~x & HIGH8;
        return hit ? ((hit & -hit) >> 7) - 1 : ~0ULL;
    }
    static inline unsigned long long before_space16(unsigned long long block) {
        unsigned long long x = block ^ (ONES16 * 0x20);
        unsigned long long hit = (x - ONES16) & ~x & HIGH16;
        return hit ? ((hit & -hit) >> 15) - 1 : ~0ULL;
    }
    #define MIX 0x9E3779B97F4A7C15ULL
    #define COUNT_BITS(x) (~(x) ? __builtin_ctzll(~(x)) : 64)
    """
    uint64_t before_space8(uint64_t block) nogil
    uint64_t before_space16(uint64_t block) nogil
    int COUNT_BITS(uint64_t bits) nogil
    const uint64_t MIX
    bint Py_UNICODE_ISSPACE(Py_UCS4 character) nogil

#: So that no document can be made whose words all go to one place.
cdef uint64_t _SEED = int.from_bytes(os.urandom(8), "little")
#: So many words are remembered for good, and so many of those that came last; no longer part is.
cdef enum:
    REMEMBERED = 100_000
    LATEST = 20_000
    LONGEST = 64

cdef struct Slot:
    uint32_t hash
    uint32_t size  # in bytes; 0 if the slot is free
    uint32_t place
    int32_t count


cdef class _Table:
    """Counts by the bytes of a part."""

    cdef Slot* slots
    cdef uint8_t* keys
    cdef uint32_t mask, used, most, filled, room

    def __cinit__(self, uint32_t most):
        self.most = most
        self.mask = 4095
        self.slots = <Slot*>calloc(self.mask + 1, sizeof(Slot))
        self.room = 1 << 16
        self.keys = <uint8_t*>malloc(self.room)
        if self.slots == NULL or self.keys == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.slots)
        free(self.keys)

    cdef inline int32_t get(self, const uint8_t* key, uint32_t size, uint32_t hash) noexcept nogil:
        cdef uint32_t at = hash & self.mask
        cdef Slot* slot
        while True:
            slot = &self.slots[at]
            if slot.size == 0:
                return -1
            if slot.hash == hash and slot.size == size and memcmp(self.keys + slot.place, key, size) == 0:
                return slot.count
            at = (at + 1) & self.mask

    cdef int add(self, const uint8_t* key, uint32_t size, uint32_t hash, int32_t count) except -1:
        """Remember a count; return 0 if there is no more room."""
        cdef uint32_t at
        cdef uint8_t* wider
        if self.used == self.most:
            return 0
        if self.used * 2 > self.mask:
            self.grow()
        if self.filled + size > self.room:
            wider = <uint8_t*>realloc(self.keys, self.room * 2)
            if wider == NULL:
                raise MemoryError
            self.keys = wider
            self.room *= 2
        at = hash & self.mask
        while self.slots[at].size:
            at = (at + 1) & self.mask
        memcpy(self.keys + self.filled, key, size)
        self.slots[at] = Slot(hash, size, self.filled, count)
        self.filled += size
        self.used += 1
        return 1

    cdef int grow(self) except -1:
        cdef uint32_t at, old, mask = self.mask * 2 + 1
        cdef Slot* slots = <Slot*>calloc(mask + 1, sizeof(Slot))
        if slots == NULL:
            raise MemoryError
        for old in range(self.mask + 1):
            if self.slots[old].size:
                at = self.slots[old].hash & mask
                while slots[at].size:
                    at = (at + 1) & mask
                slots[at] = self.slots[old]
        free(self.slots)
        self.slots, self.mask = slots, mask
        return 0

    cdef void clear(self) noexcept:
        cdef uint32_t at
        for at in range(self.mask + 1):
            self.slots[at].size = 0
        self.used = self.filled = 0


cdef inline uint64_t _block(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Eight bytes; those behind the end are 0."""
    cdef uint64_t block = 0
    if end - at >= 8:
        memcpy(&block, at, 8)
    else:
        memcpy(&block, at, end - at)
    return block


cdef inline bint _is_space(const uint8_t* end, int shift) noexcept nogil:
    """Whether the character before a place is white space."""
    return Py_UNICODE_ISSPACE((<const uint16_t*>end - 1)[0] if shift else (end - 1)[0])


class NotAWord(Exception):
    pass


cdef class SpacedWords:
    cdef object spaced, edge, of
    cdef list inner, outer

    def __init__(self, spaced, edge, of):
        self.spaced, self.edge, self.of = spaced, edge, of
        self.inner = [(_Table(REMEMBERED), _Table(LATEST)) for _ in range(2)]
        self.outer = [(_Table(REMEMBERED), _Table(LATEST)) for _ in range(2)]

    def count(self, str text not None):
        return self._count(text, 0, PyUnicode_GET_LENGTH(text))

    def counts(self, str text not None, places):
        cdef Py_ssize_t start = 0, end
        cdef list found = []
        cdef bint first = True
        for end in places:
            if first:
                pass
            elif 0 <= start <= end <= PyUnicode_GET_LENGTH(text):
                found.append(self._count(text, start, end))
            else:
                found.append(self.count(text[start:end]))
            start, first = end, False
        return found

    cdef long _count(self, str text, Py_ssize_t start, Py_ssize_t end) except -1:
        cdef int kind = PyUnicode_KIND(text)
        if kind > 2:
            return self._slowly(PyUnicode_Substring(text, start, end))
        cdef int shift = kind - 1
        cdef const uint8_t* data = <const uint8_t*>PyUnicode_DATA(text)
        cdef const uint8_t* at = data + (start << shift)
        cdef const uint8_t* stop = data + (end << shift)
        cdef const uint8_t* begin = at
        cdef const uint8_t* space
        cdef uint64_t block, bits, hash
        cdef uint32_t size, mixed
        cdef long total = 0
        cdef int32_t count
        cdef bint is_first = True
        cdef _Table words, latest
        cdef _Table inner, inner_latest, outer, outer_latest
        inner, inner_latest = self.inner[shift]
        outer, outer_latest = self.outer[shift]
        while True:
            # `begin` is where the part begins, behind a space but for the first
            at, hash = begin, _SEED
            while True:
                block = _block(at, stop)
                bits = before_space16(block) if shift else before_space8(block)
                hash = (hash ^ (block & bits)) * MIX
                hash ^= hash >> 29
                if bits != <uint64_t>-1:
                    at += COUNT_BITS(bits) >> 3
                    break
                at += 8
                if at >= stop:
                    break
            if at > stop:
                at = stop
            space = at
            is_last = space == stop
            if is_first or is_last:
                if is_last and not is_first:
                    begin -= 1 << shift
                words, latest = outer, outer_latest
            else:
                words, latest = inner, inner_latest
            size = <uint32_t>(space - begin)
            hash += size
            mixed = <uint32_t>(hash ^ (hash >> 32))
            count = -1
            if not size:
                if not is_first:
                    return self.of(PyUnicode_Substring(text, start, end))
                count = 0
            elif is_first and not is_last and _is_space(space, shift):
                return self.of(PyUnicode_Substring(text, start, end))
            else:
                count = words.get(begin, size, mixed)
                if count < 0 and words.used == words.most:
                    count = latest.get(begin, size, mixed)
            if count < 0:
                count = self._found(text, (begin - data) >> shift, (space - data) >> shift, is_first, is_last)
                if count < 0:
                    return self.of(PyUnicode_Substring(text, start, end))
                if size <= <uint32_t>(LONGEST << shift):
                    if not words.add(begin, size, mixed, count):
                        if not latest.add(begin, size, mixed, count):
                            latest.clear()
                            latest.add(begin, size, mixed, count)
            total += count
            if is_last:
                return total
            begin = space + (1 << shift)
            is_first = False

    cdef int32_t _found(self, str text, Py_ssize_t start, Py_ssize_t end, bint is_first, bint is_last) except -2:
        """The count of a part by the words in it; -1 if the text has to be counted as a whole."""
        cdef str part = PyUnicode_Substring(text, start, end)
        # Signals and other threads have their turn: a text of unknown words takes long.
        with nogil:
            pass
        PyErr_CheckSignals()
        if is_first:
            return self.edge(part)
        if is_last:
            return -1 if len(part) > 1 and part[1].isspace() else self.edge(part)
        try:
            return self.spaced(part)
        except NotAWord:
            return -1

    cdef long _slowly(self, str text) except -1:
        """The count of a text with characters beyond the basic plane."""
        cdef list parts = text.split(" ")
        cdef Py_ssize_t last = len(parts) - 1
        if not last:
            return self.edge(text)
        first, end = parts[0], parts[last]
        if (first and first[len(first) - 1].isspace()) or (end and end[0].isspace()):
            return self.of(text)
        try:
            return self.edge(first) + sum(map(self.spaced, parts[1:last])) + self.edge(" " + end)
        except NotAWord:
            return self.of(text)
