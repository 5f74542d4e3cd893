# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `scans.py`, which says what each function does."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    str PyUnicode_FromKindAndData(int kind, const void* buffer, Py_ssize_t size)
    bint Py_UNICODE_ISSPACE(Py_UCS4 character) nogil
    Py_UCS4 Py_UNICODE_TOLOWER(Py_UCS4 character) nogil

cdef extern from "courtlistener_assets/text/scans.h":
    Py_ssize_t next_unusual_1(const uint8_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_unusual_2(const uint16_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_unusual_4(const uint32_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    bint has_part_1(const uint8_t* units, Py_ssize_t size, const char* part, Py_ssize_t length) nogil
    bint has_part_2(const uint16_t* units, Py_ssize_t size, const char* part, Py_ssize_t length) nogil
    bint has_part_4(const uint32_t* units, Py_ssize_t size, const char* part, Py_ssize_t length) nogil
    Py_ssize_t next_of_1(const uint8_t* units, Py_ssize_t at, Py_ssize_t size, uint8_t wanted) nogil
    Py_ssize_t next_of_2(const uint16_t* units, Py_ssize_t at, Py_ssize_t size, uint16_t wanted) nogil
    Py_ssize_t next_of_4(const uint32_t* units, Py_ssize_t at, Py_ssize_t size, uint32_t wanted) nogil
    uint8_t in_small_1(const uint8_t* units, uint8_t* to, Py_ssize_t size) nogil
    uint16_t in_small_2(const uint16_t* units, uint16_t* to, Py_ssize_t size) nogil
    uint32_t in_small_4(const uint32_t* units, uint32_t* to, Py_ssize_t size) nogil
    Py_ssize_t next_blank_1(const uint8_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_blank_2(const uint16_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_blank_4(const uint32_t* units, Py_ssize_t at, Py_ssize_t size) nogil

ctypedef fused Units:
    uint8_t
    uint16_t
    uint32_t

#: Those of a text with control signs.
ctypedef fused Wide:
    uint16_t
    uint32_t

#: What control sequences are made of (`marks.py`).
cdef enum:
    MARK = 0xFDD3
    MARK_END = 0xFDD4
    NOTE = 0xFDD5
    NOTE_END = 0xFDD6
cdef str _NOTE = chr(NOTE), _NOTE_END = chr(NOTE_END)


cdef inline Py_ssize_t _next_unusual(const Units* units, Py_ssize_t at, Py_ssize_t size) noexcept:
    if Units is uint8_t:
        return next_unusual_1(units, at, size)
    elif Units is uint16_t:
        return next_unusual_2(units, at, size)
    else:
        return next_unusual_4(units, at, size)


cdef _unusual(const Units* units, Py_ssize_t size):
    cdef Py_ssize_t at = 0, count = 0, room = 256
    cdef Units* found = NULL
    cdef Units* more
    while True:
        at = _next_unusual(units, at, size)
        if at == size:
            break
        if found == NULL or count == room:
            room *= 2
            more = <Units*>realloc(found, room * sizeof(Units))
            if more == NULL:
                free(found)
                raise MemoryError
            found = more
        found[count] = units[at]
        count += 1
        at += 1
    if found == NULL:
        return ""
    try:
        return PyUnicode_FromKindAndData(sizeof(Units), found, count)
    finally:
        free(found)


def unusual_characters(str text not None):
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        return _unusual(<const uint8_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    if kind == 2:
        return _unusual(<const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    return _unusual(<const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))


def has_any(str text not None, tuple parts):
    cdef int kind = PyUnicode_KIND(text)
    cdef bytes part
    for part in parts:
        if kind == 1:
            if has_part_1(<const uint8_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), part, len(part)):
                return True
        elif kind == 2:
            if has_part_2(<const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), part, len(part)):
                return True
        elif has_part_4(<const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), part, len(part)):
            return True
    return False


cdef list _gap_ends(const Units* units, Py_ssize_t size):
    cdef Py_ssize_t at = 0, end, last
    cdef list ends = []
    while True:
        if Units is uint8_t:
            at = next_blank_1(units, at, size)
        elif Units is uint16_t:
            at = next_blank_2(units, at, size)
        else:
            at = next_blank_4(units, at, size)
        if at == size:
            return ends
        end = at + 2
        while end < size and units[end] == 10:
            end += 1
        last = end
        while end < size and Py_UNICODE_ISSPACE(units[end]):
            if units[end] == 10 or units[end] == 13:
                last = end + 1
            end += 1
        ends.append(last)
        at = last


def gap_ends(str text not None):
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        return _gap_ends(<const uint8_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    if kind == 2:
        return _gap_ends(<const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    return _gap_ends(<const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))


cdef _in_small(str text, const Units* units, Py_ssize_t size):
    cdef Units* small = <Units*>malloc((size + 1) * sizeof(Units))
    cdef Py_ssize_t at
    cdef Units every
    if small == NULL:
        raise MemoryError
    if Units is uint8_t:
        every = in_small_1(units, small, size)
    elif Units is uint16_t:
        every = in_small_2(units, small, size)
    else:
        every = in_small_4(units, small, size)
    at = _next_unusual(units, 0, size) if every >= 0x80 else size
    while at < size:
        if units[at] >= 0x80 and Py_UNICODE_TOLOWER(units[at]) != units[at]:
            free(small)
            return text.lower()
        at = _next_unusual(units, at + 1, size)
    try:
        return PyUnicode_FromKindAndData(sizeof(Units), small, size)
    finally:
        free(small)


def in_small_letters(str text not None):
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        return _in_small(text, <const uint8_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    if kind == 2:
        return _in_small(text, <const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    return _in_small(text, <const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))


cdef inline Py_ssize_t _next(const Units* units, Py_ssize_t at, Py_ssize_t size, Units wanted) noexcept:
    if Units is uint8_t:
        return next_of_1(units, at, size, wanted)
    elif Units is uint16_t:
        return next_of_2(units, at, size, wanted)
    else:
        return next_of_4(units, at, size, wanted)


cdef inline int _letter(const Units* units, Py_ssize_t at, Py_ssize_t size) noexcept:
    """Which small letter stands at a place, from 1 on; 0 if none."""
    return units[at] - 0x60 if at < size and 0x61 <= units[at] <= 0x7A else 0


cdef class EndsWithF:
    #: In the order of the letters behind the last f, and the place of that.
    cdef list ends, places_of_f
    #: By these letters: the first of the ends, and how many there are.
    cdef int first[27][27]
    cdef int count[27][27]

    def __init__(self, ends):
        cdef bytes end
        cdef int place = 0, one, two
        self.ends = sorted((end.encode() for end in ends), key=lambda end: end.rpartition(b"f")[2])
        self.places_of_f = [end.rfind(b"f") for end in self.ends]
        for one in range(27):
            for two in range(27):
                self.count[one][two] = 0
        for end in self.ends:
            rest = end.rpartition(b"f")[2]
            one, two = rest[0] - 0x60, rest[1] - 0x60 if len(rest) > 1 else 0
            if not self.count[one][two]:
                self.first[one][two] = place
            self.count[one][two] += 1
            place += 1

    cdef list _places(self, const Units* units, Py_ssize_t size):
        cdef Py_ssize_t at = -1, start, place
        cdef int one, two, index
        cdef bytes end
        cdef list places = []
        while True:
            at = _next(units, at + 1, size, <Units>c"f")
            if at == size:
                return places
            one, two = _letter(units, at + 1, size), _letter(units, at + 2, size)
            if not one:
                continue
            for index in range(self.count[one][two]):
                end = self.ends[self.first[one][two] + index]
                start = at - <Py_ssize_t>self.places_of_f[self.first[one][two] + index]
                place = start + len(end)
                if start >= 0 and place <= size and _is(units + start, end, len(end)) and not _letter(units, place, size):
                    places.append(place)
                    break

    def places(self, str text not None):
        cdef int kind = PyUnicode_KIND(text)
        if kind == 1:
            return self._places(<const uint8_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
        if kind == 2:
            return self._places(<const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
        return self._places(<const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))


cdef inline bint _is(const Units* units, const char* part, Py_ssize_t size) noexcept:
    cdef Py_ssize_t at
    for at in range(size):
        if units[at] != <unsigned char>part[at]:
            return False
    return True


# --- control sequences ---


cdef Py_ssize_t _number(const Wide* units, Py_ssize_t* at, Py_ssize_t size) noexcept:
    """The number from a place on, which goes behind it; -1 if there is none."""
    cdef Py_ssize_t first = at[0], number = 0
    while at[0] < size and 0x30 <= units[at[0]] <= 0x39 and at[0] - first < 18:
        number = number * 10 + (units[at[0]] - 0x30)
        at[0] += 1
    return number if at[0] > first else -1


cdef Py_ssize_t _mark(const Wide* units, Py_ssize_t* at, Py_ssize_t size) noexcept:
    """The number of the mark that begins at a place, which goes behind it; -1 if there is none."""
    cdef Py_ssize_t place = at[0] + 1, number
    if at[0] >= size or units[at[0]] != MARK:
        return -1
    number = _number(units, &place, size)
    if number < 0 or place >= size or units[place] != MARK_END:
        return -1
    at[0] = place + 1
    return number


cdef str _without_marks(str text, const Wide* units, Py_ssize_t size):
    cdef Py_ssize_t at = 0, kept = 0, length = 0, end
    cdef Wide* bare = NULL
    while True:
        at = _next(units, at, size, <Wide>MARK)
        end = at
        if at == size or _mark(units, &end, size) >= 0:
            if bare == NULL:
                if at == size:
                    return text
                bare = <Wide*>malloc(size * sizeof(Wide))
                if bare == NULL:
                    raise MemoryError
            memcpy(bare + length, units + kept, (at - kept) * sizeof(Wide))
            length += at - kept
            if at == size:
                break
            at = kept = end
        else:
            at += 1
    try:
        return PyUnicode_FromKindAndData(sizeof(Wide), bare, length)
    finally:
        free(bare)


def without_marks(str text not None):
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        return text
    if kind == 2:
        return _without_marks(text, <const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    return _without_marks(text, <const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))


cdef list _marks_in(const Wide* units, Py_ssize_t size):
    cdef Py_ssize_t at = 0, number
    cdef list numbers = []
    while True:
        at = _next(units, at, size, <Wide>MARK)
        if at == size:
            return numbers
        number = _mark(units, &at, size)
        if number >= 0:
            numbers.append(number)
        else:
            at += 1


def marks_in(str text not None):
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        return []
    if kind == 2:
        return _marks_in(<const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    return _marks_in(<const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))


def mark_at(str text not None, Py_ssize_t place):
    cdef int kind = PyUnicode_KIND(text)
    cdef Py_ssize_t at = place
    if kind == 1:
        return -1
    if kind == 2:
        return _mark(<const uint16_t*>PyUnicode_DATA(text), &at, PyUnicode_GET_LENGTH(text))
    return _mark(<const uint32_t*>PyUnicode_DATA(text), &at, PyUnicode_GET_LENGTH(text))


cdef struct Sequence:
    Py_UCS4 sign
    Py_ssize_t number, before, behind
    bint in_next


#: What is in white space: anything, a line end, two of them in a row, a tab; whether it ends with a line end.
cdef struct Space:
    bint any, line, paragraph, tab, at_line


cdef inline void _add(Space* space, uint32_t unit) noexcept:
    space.any = True
    if unit == 10:
        space.paragraph |= space.at_line
        space.line = True
    elif unit == 9:
        space.tab = True
    space.at_line = unit == 10


cdef class _Sequences:
    """The control sequences of a stream so far; those from `waiting` on wait for the text behind them."""

    cdef Sequence* found
    cdef Py_ssize_t count, waiting, room

    def __dealloc__(self):
        free(self.found)

    cdef int add(self, Py_UCS4 sign, Py_ssize_t number, bint in_next) except -1:
        cdef Sequence* more
        if self.count == self.room:
            more = <Sequence*>realloc(self.found, (self.room * 2 + 64) * sizeof(Sequence))
            if more == NULL:
                raise MemoryError
            self.found = more
            self.room = self.room * 2 + 64
        self.found[self.count] = Sequence(sign, number, 0, 0, in_next)
        self.count += 1
        return 0

    cdef void place(self, Py_ssize_t before, Py_ssize_t behind) noexcept:
        while self.waiting < self.count:
            self.found[self.waiting].before, self.found[self.waiting].behind = before, behind
            self.waiting += 1

    cdef list all(self):
        cdef Py_ssize_t index
        cdef Sequence each
        cdef list made = []
        for index in range(self.count):
            each = self.found[index]
            sign = "" if not each.sign else _NOTE if each.sign == NOTE else _NOTE_END
            made.append((sign, each.number, each.before, each.behind, each.in_next))
        return made


cdef tuple _settled(const Wide* units, Py_ssize_t size):
    cdef Py_ssize_t at = 0, end, last, length = 0, before, number
    cdef Py_UCS4 sign
    cdef Space space = Space(False, False, False, False, False)
    cdef _Sequences sequences = _Sequences()
    cdef Wide* text = <Wide*>malloc((size + 1) * sizeof(Wide))
    if text == NULL:
        raise MemoryError
    try:
        while True:
            end = _next(units, at, size, <Wide>MARK)
            while at < end and Py_UNICODE_ISSPACE(units[at]):
                _add(&space, units[at])
                at += 1
            if at < end:
                last = end
                while Py_UNICODE_ISSPACE(units[last - 1]):
                    last -= 1
                before = length
                if space.any and length:
                    text[length] = 10 if space.line else 9 if space.tab else 0x20
                    length += 1
                    if space.paragraph:
                        text[length] = 10
                        length += 1
                sequences.place(before, length)
                memcpy(text + length, units + at, (last - at) * sizeof(Wide))
                length += last - at
                space = Space(False, False, False, False, False)
                for at in range(last, end):
                    _add(&space, units[at])
            if end == size:
                break
            at = end + 1
            sign, number = 0, 0
            if at < size and units[at] == NOTE_END:
                sign = NOTE_END
                at += 1
            else:
                if at < size and units[at] == NOTE:
                    sign = NOTE
                    at += 1
                number = _number(units, &at, size)
                if number < 0 or (at < size and units[at] != MARK and units[at] != MARK_END):
                    if sign:
                        raise ValueError("a footnote without a number")
                    sign, number = NOTE_END, 0
                    while at < size and units[at] != MARK and units[at] != MARK_END:
                        at += 1
                if at < size and units[at] == MARK_END:
                    at += 1
            sequences.add(sign, number, space.paragraph)
        sequences.place(length, length)
        return PyUnicode_FromKindAndData(sizeof(Wide), text, length), sequences.all()
    finally:
        free(text)


def settled(str stream not None):
    cdef int kind = PyUnicode_KIND(stream)
    if kind == 1:
        return stream.strip(), []
    if kind == 2:
        return _settled(<const uint16_t*>PyUnicode_DATA(stream), PyUnicode_GET_LENGTH(stream))
    return _settled(<const uint32_t*>PyUnicode_DATA(stream), PyUnicode_GET_LENGTH(stream))
