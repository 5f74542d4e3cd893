# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `line_scans.py`, which says what each function and class does."""

import os

from cpython.list cimport PyList_Append, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.unicode cimport PyUnicode_Substring
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    str PyUnicode_FromKindAndData(int kind, const void* buffer, Py_ssize_t size)
    Py_UCS4 PyUnicode_READ(int kind, void* data, Py_ssize_t index)
    bint Py_UNICODE_ISSPACE(Py_UCS4 character) nogil
    bint Py_UNICODE_ISDECIMAL(Py_UCS4 character) nogil

cdef extern from "courtlistener_assets/text/scans.h":
    int take_turns() except -1

ctypedef fused Units:
    uint8_t
    uint16_t
    uint32_t

#: So that no document can be made whose lines or words all go to one place.
cdef uint64_t _SEED = int.from_bytes(os.urandom(8), "little")

cdef uint64_t _SPACES = 0x2020202020202020

cdef enum:
    MARK = 0xFDD3
    MARK_END = 0xFDD4


cdef inline bint _is_space(uint32_t unit) noexcept nogil:
    return (unit <= 0x20 and Py_UNICODE_ISSPACE(unit)) or (unit > 0x7F and Py_UNICODE_ISSPACE(unit))


cdef inline void _bounds(object line, Py_ssize_t* start, Py_ssize_t* end) noexcept:
    """Where the text of a line begins and ends without the space around it."""
    cdef int kind = PyUnicode_KIND(line)
    cdef void* data = PyUnicode_DATA(line)
    cdef Py_ssize_t first = 0, last = PyUnicode_GET_LENGTH(line)
    cdef uint64_t block
    while kind == 1 and first + 8 <= last:
        memcpy(&block, <const uint8_t*>data + first, 8)
        if block != _SPACES:
            break
        first += 8
    while first < last and _is_space(PyUnicode_READ(kind, data, first)):
        first += 1
    while last > first and _is_space(PyUnicode_READ(kind, data, last - 1)):
        last -= 1
    start[0], end[0] = first, last


def stripped(list lines not None):
    """The lines without space around, the places of those with text, these, and their first and last characters."""
    cdef Py_ssize_t size = PyList_GET_SIZE(lines), index, start, end, count = 0
    cdef list bare = [], seen = [], texts = []
    cdef uint32_t* ends
    cdef object line, text
    take_turns()
    ends = <uint32_t*>malloc((2 * size + 1) * sizeof(uint32_t))
    if ends == NULL:
        raise MemoryError
    try:
        for index in range(size):
            line = <object>PyList_GET_ITEM(lines, index)
            _bounds(line, &start, &end)
            if start == end:
                bare.append("")
                continue
            text = PyUnicode_Substring(line, start, end)
            bare.append(text)
            texts.append(text)
            seen.append(index)
            ends[count] = PyUnicode_READ(PyUnicode_KIND(line), PyUnicode_DATA(line), start)
            ends[size + count] = PyUnicode_READ(PyUnicode_KIND(line), PyUnicode_DATA(line), end - 1)
            count += 1
        firsts = PyUnicode_FromKindAndData(4, ends, count)
        lasts = PyUnicode_FromKindAndData(4, ends + size, count)
    finally:
        free(ends)
    return bare, seen, texts, firsts, lasts


cdef inline int _inside(object line, Py_ssize_t start, Py_ssize_t end) noexcept:
    """What is inside a line: 1 a space beside a space, 2 three of them, 4 one that does not break, 8 a mark."""
    cdef int kind = PyUnicode_KIND(line)
    cdef void* data = PyUnicode_DATA(line)
    if kind == 1:
        return _found(<const uint8_t*>data, _usual_end(<const uint8_t*>data, start, end), end)
    if kind == 2:
        return _found(<const uint16_t*>data, start, end)
    return _found(<const uint32_t*>data, start, end)


cdef inline Py_ssize_t _usual_end(const uint8_t* units, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Where the ASCII without two spaces in a row ends at the earliest, with which a line begins."""
    cdef uint64_t block, spaces
    cdef Py_ssize_t at = start
    while at + 8 <= end:
        memcpy(&block, units + at, 8)
        spaces = ~((block ^ <uint64_t>0x2020202020202020) + <uint64_t>0x7F7F7F7F7F7F7F7F)
        if (block | (spaces & spaces >> 8)) & <uint64_t>0x8080808080808080:
            break
        at += 7
    return at


cdef inline int _found(const Units* units, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef int found = 0
    cdef Py_ssize_t at = start
    while at < end:
        if units[at] == 0x20:
            if units[at + 1] == 0x20:  # the last one is no space
                found |= 1
                at += 1
                if units[at + 1] == 0x20:
                    found |= 2
        elif units[at] >= 0xA0:
            if units[at] == 0xA0:
                found |= 4
            elif Units is not uint8_t and units[at] == MARK:
                found |= 8
        at += 1
    return found


cdef object _single_spaced(object text, bint of_any_space):
    """A text with each run of spaces as one space, or each run of white space."""
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    cdef void* units = malloc(size * kind)
    if units == NULL:
        raise MemoryError
    try:
        if kind == 1:
            size = _write_single_spaced(<const uint8_t*>data, size, of_any_space, <uint8_t*>units)
        elif kind == 2:
            size = _write_single_spaced(<const uint16_t*>data, size, of_any_space, <uint16_t*>units)
        else:
            size = _write_single_spaced(<const uint32_t*>data, size, of_any_space, <uint32_t*>units)
        return PyUnicode_FromKindAndData(kind, units, size)
    finally:
        free(units)


cdef inline Py_ssize_t _write_single_spaced(
    const Units* units, Py_ssize_t size, bint of_any_space, Units* written
) noexcept nogil:
    cdef Py_ssize_t at, end = 0
    for at in range(size):
        if units[at] != 0x20 and not (of_any_space and _is_space(units[at])):
            written[end] = units[at]
            end += 1
        elif end and written[end - 1] != 0x20:
            written[end] = 0x20
            end += 1
    return end


cdef Py_ssize_t _token_end(int kind, void* data, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Where the mark ends that begins in a place, or the place itself if none does."""
    cdef Py_ssize_t last = at + 1
    if PyUnicode_READ(kind, data, at) != MARK:
        return at
    while last < end and Py_UNICODE_ISDECIMAL(PyUnicode_READ(kind, data, last)):
        last += 1
    return last + 1 if at + 1 < last < end and PyUnicode_READ(kind, data, last) == MARK_END else at


cdef Py_ssize_t _visible(object line, Py_ssize_t start, Py_ssize_t end) noexcept:
    """How many characters of a part of a line do not belong to marks."""
    cdef int kind = PyUnicode_KIND(line)
    cdef void* data = PyUnicode_DATA(line)
    cdef Py_ssize_t at = start, last, size = end - start
    while kind > 1 and at < end:
        last = _token_end(kind, data, at, end)
        size -= last - at
        at = last if last > at else at + 1
    return size


cdef tuple _without_marks(object line, Py_ssize_t start, without_leading_marks):
    """The marks that stand together before a line, and the line without them; all others are left to the function."""
    cdef int kind = PyUnicode_KIND(line)
    cdef void* data = PyUnicode_DATA(line)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(line), at = start, behind = start
    while at < size and at == behind:
        behind = _token_end(kind, data, at, size)
        if behind == at:
            break
        at = behind
    while at < size and _is_space(PyUnicode_READ(kind, data, at)):
        at += 1
    if behind == start or PyUnicode_READ(kind, data, 0) == 0xC or (
            at < size and PyUnicode_READ(kind, data, at) == MARK):
        return without_leading_marks(line)
    marks, rest = PyUnicode_Substring(line, start, behind), PyUnicode_Substring(line, behind, size)
    return marks, PyUnicode_Substring(line, 0, start) + rest if start else rest


def read_lines(list raw, list texts, list indents, list steps, list ends, list blanks, dict wide, without_leading_marks):
    """Add what is measured of the lines with text; return what stands before some of them."""
    cdef Py_ssize_t size = PyList_GET_SIZE(raw), index, start, end, last = 0, indent = 0
    cdef int found
    cdef list before = []
    cdef object line, text
    take_turns()
    if indents:
        indent = indents[PyList_GET_SIZE(indents) - 1]
    for index in range(size):
        line = <object>PyList_GET_ITEM(raw, index)
        _bounds(line, &start, &end)
        if start == end:
            if PyUnicode_GET_LENGTH(line) == 1 and line == "\f":
                before.append((PyList_GET_SIZE(texts), line))
            continue
        if PyUnicode_READ(PyUnicode_KIND(line), PyUnicode_DATA(line), start) == MARK:
            marks, line = _without_marks(line, start, without_leading_marks)
            before.append((PyList_GET_SIZE(texts), marks))
            _bounds(line, &start, &end)
            if start == end:
                continue
        found = _inside(line, start, end)
        text = PyUnicode_Substring(line, start, end)
        ends.append(start + _visible(text, 0, end - start) if found & 8 else end)
        if found & 2:
            wide[PyList_GET_SIZE(texts)] = line
        if found & 7:
            text = _single_spaced(text, found & 6)
        texts.append(text)
        steps.append(start - indent if indents else 0)
        indents.append(start)
        indent = start
        blanks.append(index - last)
        last = index + 1
    return before


cdef inline uint64_t _hash_units(const uint8_t* at, Py_ssize_t size) noexcept nogil:
    cdef uint64_t block, mixed = _SEED ^ size
    while size >= 8:
        memcpy(&block, at, 8)
        mixed = (mixed ^ block) * <uint64_t>0x9E3779B97F4A7C15
        mixed ^= mixed >> 29
        at += 8
        size -= 8
    block = 0
    if size & 4:
        memcpy(&block, at, 4)
        at += 4
    if size & 2:
        block = block << 16 | at[0] | <uint64_t>at[1] << 8
        at += 2
    if size & 1:
        block = block << 8 | at[0]
    mixed = (mixed ^ block) * <uint64_t>0x9E3779B97F4A7C15
    return mixed ^ (mixed >> 32)


def repeated(list keys not None):
    """The places of those keys that come again, by the first of each."""
    cdef Py_ssize_t size = PyList_GET_SIZE(keys), index, at, other
    cdef Py_ssize_t mask = 15
    cdef uint32_t mixed
    cdef object key, known
    cdef list groups = []
    cdef int32_t* slots
    cdef uint32_t* hashes
    cdef int32_t* group
    take_turns()
    while mask < 2 * size:
        mask = 2 * mask + 1
    slots = <int32_t*>calloc(mask + 1, sizeof(int32_t))  # the place of a key, and 1
    hashes = <uint32_t*>malloc((size + 1) * sizeof(uint32_t))
    group = <int32_t*>calloc(size + 1, sizeof(int32_t))  # the number of its group, and 1
    try:
        if slots == NULL or hashes == NULL or group == NULL:
            raise MemoryError
        for index in range(size):
            key = <object>PyList_GET_ITEM(keys, index)
            mixed = hashes[index] = <uint32_t>_hash_units(
                <const uint8_t*>PyUnicode_DATA(key), PyUnicode_GET_LENGTH(key) * PyUnicode_KIND(key)
            )
            at = mixed & mask
            while slots[at]:
                other = slots[at] - 1
                if hashes[other] == mixed:
                    known = <object>PyList_GET_ITEM(keys, other)
                    if known is key or (
                        PyUnicode_KIND(known) == PyUnicode_KIND(key)
                        and PyUnicode_GET_LENGTH(known) == PyUnicode_GET_LENGTH(key)
                        and memcmp(PyUnicode_DATA(known), PyUnicode_DATA(key),
                                   PyUnicode_GET_LENGTH(key) * PyUnicode_KIND(key)) == 0
                    ):
                        if not group[other]:
                            groups.append([other])
                            group[other] = <int32_t>PyList_GET_SIZE(groups)
                        (<list>PyList_GET_ITEM(groups, group[other] - 1)).append(index)
                        break
                at = (at + 1) & mask
            else:
                slots[at] = <int32_t>index + 1
    finally:
        free(slots)
        free(hashes)
        free(group)
    groups.sort()
    return groups


cdef struct _Word:
    uint32_t hash
    uint32_t start
    uint32_t size  # 0 if there is no word


cdef class Words:
    """The words of a text, parted by white space."""

    cdef str text
    cdef _Word* words
    cdef uint32_t mask

    def __cinit__(self, str text not None):
        cdef int kind = PyUnicode_KIND(text)
        cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text), room = 64
        self.text = text
        while room < size // 24:
            room *= 2
        self.mask = <uint32_t>(room - 1)
        self.words = <_Word*>calloc(room, sizeof(_Word))
        if self.words == NULL:
            raise MemoryError
        if kind == 1:
            _add_words(self, <const uint8_t*>PyUnicode_DATA(text), size)
        elif kind == 2:
            _add_words(self, <const uint16_t*>PyUnicode_DATA(text), size)
        else:
            _add_words(self, <const uint32_t*>PyUnicode_DATA(text), size)

    def __dealloc__(self):
        free(self.words)

    cdef bint find(self, const uint8_t* word, uint32_t size, uint32_t mixed, uint32_t* found) noexcept:
        """Whether there is a word, and its slot or the one for it; `size` is in bytes, as are starts."""
        cdef const uint8_t* data = <const uint8_t*>PyUnicode_DATA(self.text)
        cdef uint32_t at = mixed & self.mask
        while self.words[at].size:
            if self.words[at].hash == mixed and self.words[at].size == size:
                if memcmp(data + <size_t>self.words[at].start * PyUnicode_KIND(self.text), word, size) == 0:
                    found[0] = at
                    return True
            at = (at + 1) & self.mask
        found[0] = at
        return False

    def has_any(self, str word not None, tuple signs):
        """Whether there is a word with any of these signs behind it."""
        cdef int kind = PyUnicode_KIND(self.text)
        cdef uint32_t at
        cdef Py_ssize_t size
        cdef str signed
        cdef uint8_t units[256]
        for sign in signs:
            signed = word + sign
            size = PyUnicode_GET_LENGTH(signed) * kind
            if not size or PyUnicode_KIND(signed) > kind:
                continue
            if PyUnicode_KIND(signed) == kind:
                data = <const uint8_t*>PyUnicode_DATA(signed)
                if self.find(data, <uint32_t>size, <uint32_t>_hash_units(data, size), &at):
                    return True
                continue
            if size > 256:
                if signed in self.text.split():
                    return True
                continue
            for place in range(PyUnicode_GET_LENGTH(signed)):
                if kind == 2:
                    (<uint16_t*>units)[place] = <uint16_t>PyUnicode_READ(
                        PyUnicode_KIND(signed), PyUnicode_DATA(signed), place)
                else:
                    (<uint32_t*>units)[place] = PyUnicode_READ(PyUnicode_KIND(signed), PyUnicode_DATA(signed), place)
            if self.find(units, <uint32_t>size, <uint32_t>_hash_units(units, size), &at):
                return True
        return False


cdef int _add_words(Words words, const Units* units, Py_ssize_t size) except -1:
    cdef Py_ssize_t at = 0, start
    cdef uint32_t mixed, slot, bytes_, used = 0
    while True:
        while at < size and _is_space(units[at]):
            at += 1
        if at == size:
            return 0
        start = at
        while at < size and not _is_space(units[at]):
            at += 1
        bytes_ = <uint32_t>((at - start) * sizeof(Units))
        mixed = <uint32_t>_hash_units(<const uint8_t*>(units + start), bytes_)
        if not words.find(<const uint8_t*>(units + start), bytes_, mixed, &slot):
            words.words[slot] = _Word(mixed, <uint32_t>start, bytes_)
            used += 1
            if used * 2 > words.mask:
                _grow(words)


cdef int _grow(Words words) except -1:
    cdef uint32_t at, old, mask = words.mask * 2 + 1
    cdef _Word* wider = <_Word*>calloc(<size_t>mask + 1, sizeof(_Word))
    if wider == NULL:
        raise MemoryError
    for old in range(words.mask + 1):
        if words.words[old].size:
            at = words.words[old].hash & mask
            while wider[at].size:
                at = (at + 1) & mask
            wider[at] = words.words[old]
    free(words.words)
    words.words, words.mask = wider, mask
    return 0


cdef Py_ssize_t _behind_gutter(const Units* units, Py_ssize_t size) noexcept nogil:
    """Where text goes on behind the first four spaces in a row inside a line, or 0. One of every four signs tells."""
    cdef Py_ssize_t start = 0, at, first, last
    while start < size and _is_space(units[start]):
        start += 1
    at = start + 3
    while at < size:
        if units[at] == 0x20:
            first = last = at
            while units[first - 1] == 0x20 and at - first < 3:
                first -= 1
            while last + 1 < size and last - first < 3 and units[last + 1] == 0x20:
                last += 1
            if last - first >= 3:
                while last < size and _is_space(units[last]):
                    last += 1
                return last if last < size else 0
        at += 4
    return 0


def gutters(list lines not None):
    cdef Py_ssize_t index, size, behind
    cdef list found = []
    cdef void* data
    cdef int kind
    take_turns()
    for index in range(PyList_GET_SIZE(lines)):
        line = <object>PyList_GET_ITEM(lines, index)
        kind, data, size = PyUnicode_KIND(line), PyUnicode_DATA(line), PyUnicode_GET_LENGTH(line)
        if kind == 1:
            behind = _behind_gutter(<const uint8_t*>data, size)
        elif kind == 2:
            behind = _behind_gutter(<const uint16_t*>data, size)
        else:
            behind = _behind_gutter(<const uint32_t*>data, size)
        if behind:
            found.append((index, _visible(line, 0, behind)))
    return found


cdef uint8_t _LAST[128]  # 1: ends a sentence, 2: a letter of "and" and "or", 4: may follow an end
for _sign in ".?!:;":
    _LAST[<Py_UCS4>_sign] = 1
for _sign in "dr":
    _LAST[<Py_UCS4>_sign] = 2
for _sign in "\"')]*0123456789":
    _LAST[<Py_UCS4>_sign] = 4


cdef inline int _ends_before(int kind, void* data, Py_ssize_t size) noexcept:
    """Whether a sentence ends before what follows its end in a line; -1 if that may be the number of a note."""
    cdef Py_ssize_t at = size - 1, least = max(0, size - 40)
    cdef Py_UCS4 sign = PyUnicode_READ(kind, data, at)
    if 0x30 <= sign <= 0x39 and size > 2 and (
            PyUnicode_READ(kind, data, size - 2) == 0x20 or PyUnicode_READ(kind, data, size - 3) == 0x20):
        return -1
    while at >= least:
        sign = PyUnicode_READ(kind, data, at)
        if sign < 128:
            if _LAST[sign] != 4:
                return _LAST[sign] == 1 and _closes(kind, data, size)
        elif sign != 0x201D and sign != 0x2019:
            return False
        at -= 1
    return False


cdef inline bint _closes(int kind, void* data, Py_ssize_t size) noexcept:
    """Whether no bracket is open at the end of a line."""
    cdef Py_ssize_t at = size - 1
    cdef Py_UCS4 sign
    while at >= 0:
        sign = PyUnicode_READ(kind, data, at)
        if sign == 0x29:
            return True
        if sign == 0x28:
            return False
        at -= 1
    return True


def ends_of(list texts not None, is_end):
    cdef Py_ssize_t index, size
    cdef list found = []
    cdef void* data
    cdef int kind, sign, ended
    cdef Py_UCS4 last
    take_turns()
    for index in range(PyList_GET_SIZE(texts)):
        text = <object>PyList_GET_ITEM(texts, index)
        kind, data, size = PyUnicode_KIND(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)
        last = PyUnicode_READ(kind, data, size - 1)
        if last < 128:
            sign = _LAST[last]
            if sign == 0:
                found.append(False)
                continue
            if sign == 1:
                found.append(_closes(kind, data, size))
                continue
            if sign == 4 and (ended := _ends_before(kind, data, size)) >= 0:
                found.append(ended == 1)
                continue
            if sign == 2 and (size < 4 or PyUnicode_READ(kind, data, size - 1 - (3 if last == 0x64 else 2)) != 0x20):
                found.append(False)
                continue
        elif last == 0x201D or last == 0x2019:
            found.append(_ends_before(kind, data, size) == 1)
            continue
        elif not last.isdigit():
            found.append(False)
            continue
        found.append(is_end(text))
    return found


def ending_with(list texts not None, str signs not None):
    cdef Py_ssize_t index, at
    cdef int kind = PyUnicode_KIND(signs)
    cdef void* data = PyUnicode_DATA(signs)
    cdef Py_UCS4 last
    cdef list found = []
    take_turns()
    for index in range(PyList_GET_SIZE(texts)):
        text = <object>PyList_GET_ITEM(texts, index)
        last = PyUnicode_READ(PyUnicode_KIND(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text) - 1)
        for at in range(PyUnicode_GET_LENGTH(signs)):
            if PyUnicode_READ(kind, data, at) == last:
                found.append(index)
                break
    return found


def small_beginnings_of(list texts not None, is_small):
    cdef Py_ssize_t index
    cdef list found = []
    cdef Py_UCS4 first
    take_turns()
    for index in range(PyList_GET_SIZE(texts)):
        text = <object>PyList_GET_ITEM(texts, index)
        first = PyUnicode_READ(PyUnicode_KIND(text), PyUnicode_DATA(text), 0)
        if first == 0x5B or first == 0x28 or first == 0x22 or first == 0x27 or first == 0x2018 or first == 0x201C:
            found.append(is_small(text))
        else:
            found.append(97 <= first <= 122 if first < 128 else first.islower())
    return found


cdef uint8_t _BORDERS[256]  # 1: a border, 2: one with a space before it is enough
for _sign in ")]:|\xa7*}":
    _BORDERS[<Py_UCS4>_sign] = 2 if _sign in ")]}|" else 1


cdef inline int _add_borders(
    const Units* units, Py_ssize_t size, Py_ssize_t start, Py_ssize_t end, Py_ssize_t index, list found
) except -1:
    """Add the borders in a part of a line."""
    cdef Py_ssize_t at
    for at in range(start, end):
        if at and units[at - 1] != 0x20:
            continue
        if Units is not uint8_t and units[at] > 255:
            continue
        if not _BORDERS[<uint8_t>units[at]] or (at + 1 < size and units[at + 1] != 0x20):
            continue
        if at == 0 or _BORDERS[<uint8_t>units[at]] == 2 or (at > 1 and units[at - 2] == 0x20):
            found.append((index, at))
    return 0


cdef int _add_narrow_borders(const uint8_t* units, Py_ssize_t size, Py_ssize_t index, list found) except -1:
    """Add the borders of a line: inside, only between two spaces, of which eight characters at once are looked at."""
    cdef uint64_t block, spaces
    cdef Py_ssize_t at = 0
    _add_borders(units, size, 0, min(size, 1), index, found)
    while at + 8 <= size:
        memcpy(&block, units + at, 8)
        if block != _SPACES:
            block ^= _SPACES
            spaces = ~(((block & <uint64_t>0x7F7F7F7F7F7F7F7F) + <uint64_t>0x7F7F7F7F7F7F7F7F) | block)
            if spaces & spaces >> 16 & <uint64_t>0x8080808080808080:
                _add_borders(units, size, at + 1, at + 7, index, found)
        at += 6
    return _add_borders(units, size, at + 1, size, index, found)


def bordered(list lines not None):
    """The lines and columns in which a border stands by itself."""
    cdef Py_ssize_t index, size
    cdef list found = []
    cdef void* data
    cdef int kind
    take_turns()
    for index in range(PyList_GET_SIZE(lines)):
        line = <object>PyList_GET_ITEM(lines, index)
        kind, data, size = PyUnicode_KIND(line), PyUnicode_DATA(line), PyUnicode_GET_LENGTH(line)
        if kind == 1:
            _add_narrow_borders(<const uint8_t*>data, size, index, found)
        elif kind == 2:
            _add_borders(<const uint16_t*>data, size, 0, size, index, found)
        else:
            _add_borders(<const uint32_t*>data, size, 0, size, index, found)
    return found
