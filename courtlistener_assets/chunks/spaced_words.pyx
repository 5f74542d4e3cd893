# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `spaced_words.py`, which says what it does: no object for each word, and its own memory.

What it does not remember it splits into words itself, as the pattern in `token_counts.py` does.
"""

import os

cimport cython
from cpython.unicode cimport PyUnicode_Substring
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    Py_UCS4 PyUnicode_READ(int kind, void* data, Py_ssize_t index)
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

#: What the encoding tells apart.
cdef enum:
    OTHER
    LETTER
    NUMBER
    SPACE

cdef uint8_t _KINDS[128]


cdef inline int _kind_of(Py_UCS4 sign) noexcept:
    if sign > 0xFFFF:
        return OTHER
    return LETTER if sign.isalpha() else NUMBER if sign.isnumeric() else SPACE if sign.isspace() else OTHER


for _sign in range(128):
    _KINDS[_sign] = _kind_of(_sign)


cdef struct Slot:
    uint64_t first  # bytes, as many as there are
    uint32_t hash
    uint32_t size  # in bytes; 0 if the slot is free
    uint32_t place
    int32_t count

#: Counts by the bytes of a part.
cdef struct Table:
    Slot* slots
    uint8_t* keys
    uint32_t mask, used, most, filled, room


cdef int _make(Table* table, uint32_t most) except -1:
    table.most = most
    table.mask = 1023
    table.slots = <Slot*>calloc(table.mask + 1, sizeof(Slot))
    table.room = 1 << 14
    table.keys = <uint8_t*>malloc(table.room)
    if table.slots == NULL or table.keys == NULL:
        raise MemoryError
    return 0


cdef inline int32_t _get(const Table* table, const uint8_t* key, uint64_t first, uint32_t size, uint32_t hash) noexcept:
    cdef uint32_t at = hash & table.mask
    cdef const Slot* slot
    while True:
        slot = &table.slots[at]
        if slot.first == first and slot.size == size and slot.hash == hash:
            if size <= 8 or memcmp(table.keys + slot.place + 8, key + 8, size - 8) == 0:
                return slot.count
        if slot.size == 0:
            return -1
        at = (at + 1) & table.mask


cdef int _add(
    Table* table, const uint8_t* key, uint64_t first, uint32_t size, uint32_t hash, int32_t count
) except -1:
    """Remember a count; return 0 if there is no more room."""
    cdef uint32_t at
    cdef uint8_t* wider
    if table.used == table.most:
        return 0
    if table.used * 2 > table.mask:
        _grow(table)
    if table.filled + size > table.room:
        wider = <uint8_t*>realloc(table.keys, table.room * 2)
        if wider == NULL:
            raise MemoryError
        table.keys = wider
        table.room *= 2
    at = hash & table.mask
    while table.slots[at].size:
        at = (at + 1) & table.mask
    memcpy(table.keys + table.filled, key, size)
    table.slots[at] = Slot(first, hash, size, table.filled, count)
    table.filled += size
    table.used += 1
    return 1


cdef int _grow(Table* table) except -1:
    cdef uint32_t at, old, mask = table.mask * 2 + 1
    cdef Slot* slots = <Slot*>calloc(mask + 1, sizeof(Slot))
    if slots == NULL:
        raise MemoryError
    for old in range(table.mask + 1):
        if table.slots[old].size:
            at = table.slots[old].hash & mask
            while slots[at].size:
                at = (at + 1) & mask
            slots[at] = table.slots[old]
    free(table.slots)
    table.slots, table.mask = slots, mask
    return 0


cdef void _clear(Table* table) noexcept:
    cdef uint32_t at
    for at in range(table.mask + 1):
        table.slots[at].size = 0
    table.used = table.filled = 0


cdef struct Memory:
    Table good
    Table latest


cdef inline int32_t _known(const Memory* memory, const uint8_t* key, uint64_t first, uint32_t size, uint32_t hash) noexcept:
    cdef int32_t count = _get(&memory.good, key, first, size, hash)
    if count < 0 and memory.good.used == memory.good.most:
        count = _get(&memory.latest, key, first, size, hash)
    return count


cdef int _remember(
    Memory* memory, const uint8_t* key, uint64_t first, uint32_t size, uint32_t hash, int32_t count
) except -1:
    if not _add(&memory.good, key, first, size, hash, count):
        if not _add(&memory.latest, key, first, size, hash, count):
            _clear(&memory.latest)
            _add(&memory.latest, key, first, size, hash, count)
    return 0


cdef inline uint64_t _block(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Eight bytes; those behind the end are 0."""
    cdef uint64_t block = 0
    if end - at >= 8:
        memcpy(&block, at, 8)
    else:
        memcpy(&block, at, end - at)
    return block


cdef inline uint64_t _mixed(uint64_t hash, uint64_t block) noexcept nogil:
    hash = (hash ^ block) * MIX
    return hash ^ (hash >> 29)


cdef inline uint32_t _short(uint64_t hash, uint32_t size) noexcept nogil:
    hash += size
    return <uint32_t>(hash ^ (hash >> 32))


cdef inline int _kind(int width, const void* data, Py_ssize_t at) noexcept:
    cdef Py_UCS4 sign = PyUnicode_READ(width, <void*>data, at)
    return _KINDS[sign] if sign < 128 else _kind_of(sign)


cdef Py_ssize_t _word_end(int width, const void* data, Py_ssize_t at, Py_ssize_t stop) noexcept:
    """Where the word ends that begins at a place."""
    cdef uint32_t sign = PyUnicode_READ(width, <void*>data, at), after
    cdef int kind = _kind(width, data, at)
    cdef Py_ssize_t end = at + 1
    if sign == 0x27 and end < stop:
        sign, after = PyUnicode_READ(width, <void*>data, end), 0
        if sign in (0x53, 0x73, 0x44, 0x64, 0x4D, 0x6D, 0x54, 0x74, 0x17F):
            return end + 1
        if end + 1 < stop:
            after = PyUnicode_READ(width, <void*>data, end + 1)
            sign, after = sign | 0x20, after | 0x20
        if (sign == 0x6C and after == 0x6C) or (after == 0x65 and (sign == 0x76 or sign == 0x72)):
            return end + 2
        sign = 0x27
    if kind == NUMBER:
        while end < stop and end < at + 3 and _kind(width, data, end) == NUMBER:
            end += 1
        return end
    if kind == LETTER or (sign != 10 and sign != 13 and end < stop and _kind(width, data, end) == LETTER):
        while end < stop and _kind(width, data, end) == LETTER:
            end += 1
        return end
    if kind == OTHER or (sign == 0x20 and end < stop and _kind(width, data, end) == OTHER):
        while end < stop and _kind(width, data, end) == OTHER:
            end += 1
        while end < stop and PyUnicode_READ(width, <void*>data, end) in (10, 13):
            end += 1
        return end
    while end < stop and _kind(width, data, end) == SPACE:
        end += 1
    stop, kind = end, end == stop
    while end > at and PyUnicode_READ(width, <void*>data, end - 1) not in (10, 13):
        end -= 1
    return end if end > at else stop if kind or stop == at + 1 else stop - 1


@cython.final
cdef class SpacedWords:
    cdef object words
    #: What stands between spaces, and words, by the width of characters.
    cdef Memory spaced[2]
    cdef Memory single[3]

    def __cinit__(self, words):
        cdef int shift
        self.words = words
        for shift in range(3):
            if shift < 2:
                _make(&self.spaced[shift].good, REMEMBERED)
                _make(&self.spaced[shift].latest, LATEST)
            _make(&self.single[shift].good, REMEMBERED)
            _make(&self.single[shift].latest, LATEST)

    def __dealloc__(self):
        cdef int shift
        for shift in range(3):
            if shift < 2:
                _free(&self.spaced[shift])
            _free(&self.single[shift])

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
        cdef int width = PyUnicode_KIND(text)
        cdef long total
        if width == 4:
            return self._of(text, start, end)
        total = self._by_parts(text, start, end, 0) if width == 1 else self._by_parts(text, start, end, 1)
        return self._of(text, start, end) if total < 0 else total

    cdef inline long _by_parts(self, str text, Py_ssize_t start, Py_ssize_t end, int shift) except -2:
        """The sum over what stands between spaces; -1 if white space stands beside a space."""
        cdef const uint8_t* data = <const uint8_t*>PyUnicode_DATA(text)
        cdef const uint8_t* at = data + (start << shift)
        cdef const uint8_t* stop = data + (end << shift)
        cdef const uint8_t* begin = at
        cdef uint64_t block, bits, hash, first
        cdef uint32_t size, mixed
        cdef int32_t count
        cdef long total = 0
        cdef bint is_first = True
        cdef Memory* memory = &self.spaced[shift]
        while True:
            # `begin` is where a part begins, behind a space but for the first
            block = _block(at, stop)
            bits = before_space16(block) if shift else before_space8(block)
            first = block & bits
            hash = _mixed(_SEED, first)
            while bits == <uint64_t>-1:
                at += 8
                if at >= stop:
                    break
                block = _block(at, stop)
                bits = before_space16(block) if shift else before_space8(block)
                hash = _mixed(hash, block & bits)
            if bits != <uint64_t>-1:
                at += COUNT_BITS(bits) >> 3
            if at >= stop:
                break
            size = <uint32_t>(at - begin)
            if is_first:
                if size:
                    if _is_space(at, shift):
                        return -1
                    total = self._of(text, start, (at - data) >> shift)
                is_first = False
            elif not size:
                return -1
            else:
                mixed = _short(hash, size)
                count = _known(memory, begin, first, size, mixed)
                if count < 0:
                    if _is_space(begin + (1 << shift), shift) or _is_space(at, shift):
                        return -1
                    count = self._of(text, ((begin - data) >> shift) - 1, (at - data) >> shift)
                    if size <= <uint32_t>(LONGEST << shift):
                        _remember(memory, begin, first, size, mixed, count)
                total += count
            at += 1 << shift
            begin = at
        if is_first:
            return self._of(text, start, end)
        if begin < stop and _is_space(begin + (1 << shift), shift):
            return -1
        return total + self._of(text, ((begin - data) >> shift) - 1, end)

    cdef long _of(self, str text, Py_ssize_t start, Py_ssize_t end) except -1:
        """The count of all words of a part of a text."""
        cdef int width = PyUnicode_KIND(text), shift = width >> 1
        cdef const uint8_t* data = <const uint8_t*>PyUnicode_DATA(text)
        cdef const uint8_t* at
        cdef const uint8_t* stop
        cdef Py_ssize_t word_end
        cdef uint64_t first, hash
        cdef uint32_t size, mixed
        cdef int32_t count
        cdef long total = 0
        cdef Memory* memory = &self.single[shift]
        while start < end:
            word_end = _word_end(width, data, start, end)
            at, stop = data + (start << shift), data + (word_end << shift)
            size = <uint32_t>(stop - at)
            first = _block(at, stop)
            hash = _mixed(_SEED, first)
            while stop - at > 8:
                at += 8
                hash = _mixed(hash, _block(at, stop))
            mixed = _short(hash, size)
            at = data + (start << shift)
            count = _known(memory, at, first, size, mixed)
            if count < 0:
                # Signals and other threads have their turn: a text of unknown words takes long.
                with nogil:
                    pass
                PyErr_CheckSignals()
                count = self.words[PyUnicode_Substring(text, start, word_end)]
                if word_end - start <= LONGEST:
                    _remember(memory, at, first, size, mixed, count)
            total += count
            start = word_end
        return total


cdef inline bint _is_space(const uint8_t* end, int shift) noexcept nogil:
    """Whether the character before a place is white space."""
    return Py_UNICODE_ISSPACE((<const uint16_t*>end - 1)[0] if shift else (end - 1)[0])


cdef void _free(Memory* memory) noexcept:
    free(memory.good.slots)
    free(memory.good.keys)
    free(memory.latest.slots)
    free(memory.latest.keys)
