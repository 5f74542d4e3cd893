# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `markup_scans.py`, which says what each function does."""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.unicode cimport PyUnicode_Substring
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    str PyUnicode_FromKindAndData(int kind, const void* buffer, Py_ssize_t size)
    bint Py_UNICODE_ISSPACE(Py_UCS4 character) nogil
    bint Py_UNICODE_ISALNUM(Py_UCS4 character) nogil

cdef extern from "courtlistener_assets/text/scans.h":
    int take_turns() except -1
    Py_ssize_t next_of_1(const uint8_t* units, Py_ssize_t at, Py_ssize_t size, uint8_t wanted) nogil
    Py_ssize_t next_of_2(const uint16_t* units, Py_ssize_t at, Py_ssize_t size, uint16_t wanted) nogil
    Py_ssize_t next_of_4(const uint32_t* units, Py_ssize_t at, Py_ssize_t size, uint32_t wanted) nogil
    Py_ssize_t next_stop_1(const uint8_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_stop_2(const uint16_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_stop_4(const uint32_t* units, Py_ssize_t at, Py_ssize_t size) nogil

ctypedef fused Units:
    uint8_t
    uint16_t
    uint32_t

#: The control signs of a stream (`marks.py`).
cdef enum:
    BLOCK = 0xFDD0
    LINE = 0xFDD1
    CELL = 0xFDD2
    PRE_LINE = 0xFDD8
cdef enum:
    KNOWN = 64
cdef str _LINE = chr(LINE), _CELL = chr(CELL), _PRE_LINE = chr(PRE_LINE)


cdef inline Py_ssize_t _next(const Units* units, Py_ssize_t at, Py_ssize_t size, Units wanted) noexcept:
    if Units is uint8_t:
        return next_of_1(units, at, size, wanted)
    elif Units is uint16_t:
        return next_of_2(units, at, size, wanted)
    else:
        return next_of_4(units, at, size, wanted)


# --- tags ---

cdef inline bint _is_letter(uint32_t unit) noexcept:
    return (unit | 0x20) - 0x61 < 26


cdef Py_ssize_t _end_of_comment(const Units* units, Py_ssize_t at, Py_ssize_t size) noexcept:
    """Behind the comment whose text begins at a place."""
    if at < size and units[at] == c">":
        return at + 1
    if at + 1 < size and units[at] == c"-" and units[at + 1] == c">":
        return at + 2
    while at + 2 < size:
        if units[at] == c"-" and units[at + 1] == c"-" and units[at + 2] == c">":
            return at + 3
        at += 1
    return size


cdef Py_ssize_t _end_of_tag(const Units* units, Py_ssize_t at, Py_ssize_t size) noexcept:
    """Behind the tag, comment or declaration that a `<` before a place begins; -1 if it begins none."""
    cdef Py_ssize_t quote
    cdef Units sign
    if at == size:
        return -1
    if units[at] == c"!" or units[at] == c"?":
        if units[at] == c"!" and at + 2 < size and units[at + 1] == c"-" and units[at + 2] == c"-":
            return _end_of_comment(units, at + 3, size)
        while at < size and units[at] != c"<" and units[at] != c">":
            at += 1
        return at + 1 if at < size and units[at] == c">" else -1
    if units[at] == c"/":
        at += 1
        while at < size and Py_UNICODE_ISSPACE(units[at]):
            at += 1
    if at == size or not _is_letter(units[at]):
        return -1
    while True:
        sign = 0
        while at < size:
            sign = units[at]
            at += 1
            if sign == c">":
                return at
            if sign == c"<":
                return -1
            if sign == c"=" or sign == c'"' or sign == c"'":
                break
        else:
            return -1
        if sign != c"=":
            continue
        while at < size and Py_UNICODE_ISSPACE(units[at]):
            at += 1
        if at < size and (units[at] == c'"' or units[at] == c"'"):
            quote = _next(units, at + 1, size, units[at]) + 1
            if quote < size and (units[quote] == c">" or units[quote] == c"/" or Py_UNICODE_ISSPACE(units[quote])):
                at = quote


cdef list _pieces(str markup, const Units* units, Py_ssize_t size):
    cdef Py_ssize_t text = 0, at = 0, end, length
    cdef list pieces = []
    # Tags are few and alike: those that were made last, by their length and last letter, where they stand in the markup
    # and among the pieces.
    cdef Py_ssize_t firsts[KNOWN]
    cdef Py_ssize_t lengths[KNOWN]
    cdef Py_ssize_t places[KNOWN]
    cdef int known
    memset(lengths, 0, sizeof(lengths))
    take_turns()
    while True:
        at = _next(units, at, size, <Units>c"<")
        if at == size:
            pieces.append(PyUnicode_Substring(markup, text, size))
            return pieces
        end = _end_of_tag(units, at + 1, size)
        if end < 0:
            at += 1
            continue
        pieces.append(PyUnicode_Substring(markup, text, at))
        length = end - at
        known = (length * 8 + units[end - 2]) % KNOWN
        if lengths[known] == length and not memcmp(units + firsts[known], units + at, length * sizeof(Units)):
            pieces.append(<object>PyList_GET_ITEM(pieces, places[known]))
        else:
            firsts[known], lengths[known], places[known] = at, length, PyList_GET_SIZE(pieces)
            pieces.append(PyUnicode_Substring(markup, at, end))
        text = at = end


def split_at_tags(str markup not None):
    cdef int kind = PyUnicode_KIND(markup)
    if kind == 1:
        return _pieces(markup, <const uint8_t*>PyUnicode_DATA(markup), PyUnicode_GET_LENGTH(markup))
    if kind == 2:
        return _pieces(markup, <const uint16_t*>PyUnicode_DATA(markup), PyUnicode_GET_LENGTH(markup))
    return _pieces(markup, <const uint32_t*>PyUnicode_DATA(markup), PyUnicode_GET_LENGTH(markup))


# --- blocks and lines ---

cdef inline bint _is_gap(uint32_t unit) noexcept:
    """What `repair` leaves of white space in markup."""
    return unit == 0x20 or unit == 10 or unit == 0xA0 or unit == 9 or unit == 12


cdef inline Py_ssize_t _next_stop(const Units* units, Py_ssize_t at, Py_ssize_t size) noexcept:
    if Units is uint8_t:
        return next_stop_1(units, at, size)
    elif Units is uint16_t:
        return next_stop_2(units, at, size)
    else:
        return next_stop_4(units, at, size)


cdef inline bint _is_annotated(uint32_t before, uint32_t sign, uint32_t behind) noexcept:
    """Whether a comma or semicolon behind a space belongs to what stands before the space."""
    if (sign != c"," and sign != c";") or behind != 0x20:
        return False
    return before == c"_" or before == c"." or before == c")" or before == c"]" or Py_UNICODE_ISALNUM(before)


cdef Py_ssize_t _tidy(Units* line, Py_ssize_t size) noexcept:
    """Close in place the gaps before commas and semicolons of annotated citations; the size that is left."""
    cdef Py_ssize_t at, length = 0
    for at in range(size):
        if line[at] == 0x20 and 0 < at < size - 1 and _is_annotated(
            line[at - 1], line[at + 1], line[at + 2] if at + 2 < size else 0x20
        ):
            continue
        line[length] = line[at]
        length += 1
    return length


cdef Py_ssize_t _write(const Units* units, Py_ssize_t* place, Py_ssize_t size, Units* line, bint block) noexcept:
    """Write a text from a place on as one line, and return the size of that; the place goes to where it ends.

    Of a `block`, it ends at the next one and is tidied, or has lines, and the size is -1.
    """
    cdef Py_ssize_t at = place[0], length = 0, stop
    cdef bint tidy = False
    while at < size and _is_gap(units[at]):
        at += 1
    while True:
        stop = _next_stop(units, at, size)
        memcpy(line + length, units + at, (stop - at) * sizeof(Units))
        length += stop - at
        at = stop
        if at == size:
            break
        if _is_gap(units[at]):
            while at < size and _is_gap(units[at]):
                at += 1
            tidy |= at < size and (units[at] == c"," or units[at] == c";")
            if length and line[length - 1] != 0x20:
                line[length] = 0x20
                length += 1
            continue
        if Units is not uint8_t:
            if block and units[at] == BLOCK:
                break
            if block and (units[at] == LINE or units[at] == CELL or units[at] == PRE_LINE):
                place[0] = _next(units, at, size, <Units>BLOCK)
                return -1
        line[length] = units[at]
        length += 1
        at += 1
    place[0] = at
    if length and line[length - 1] == 0x20:
        length -= 1
    return _tidy(line, length) if block and tidy else length


cdef list _blocks(str stream, const Units* units, Py_ssize_t size):
    cdef Py_ssize_t at = 0, first, length
    cdef list blocks = []
    cdef Units* line = <Units*>malloc((size + 1) * sizeof(Units))
    if line == NULL:
        raise MemoryError
    try:
        take_turns()
        while at < size:
            first = at
            length = _write(units, &at, size, line, True)
            if length < 0:
                blocks.append(PyUnicode_Substring(stream, first, at))
            elif length:
                blocks.append(PyUnicode_FromKindAndData(sizeof(Units), line, length))
            at += 1
        return blocks
    finally:
        free(line)


def blocks_of(str stream not None):
    cdef int kind = PyUnicode_KIND(stream)
    if kind == 1:
        return _blocks(stream, <const uint8_t*>PyUnicode_DATA(stream), PyUnicode_GET_LENGTH(stream))
    if kind == 2:
        return _blocks(stream, <const uint16_t*>PyUnicode_DATA(stream), PyUnicode_GET_LENGTH(stream))
    return _blocks(stream, <const uint32_t*>PyUnicode_DATA(stream), PyUnicode_GET_LENGTH(stream))


def has_lines(str block not None):
    return _LINE in block or _CELL in block or _PRE_LINE in block


cdef str _changed(const Units* units, Py_ssize_t size, bint tidy):
    """The text as one line, or that line tidied."""
    cdef Py_ssize_t at = 0, length
    cdef Units* line = <Units*>malloc((size + 1) * sizeof(Units))
    if line == NULL:
        raise MemoryError
    if tidy:
        memcpy(line, units, size * sizeof(Units))
        length = _tidy(line, size)
    else:
        length = _write(units, &at, size, line, False)
    try:
        return PyUnicode_FromKindAndData(sizeof(Units), line, length)
    finally:
        free(line)


cdef str _line(str text, bint tidy):
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        return _changed(<const uint8_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), tidy)
    if kind == 2:
        return _changed(<const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), tidy)
    return _changed(<const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text), tidy)


def one_line(str text not None):
    return _line(text, False)


def tidied(str line not None):
    return _line(line, True) if "," in line or ";" in line else line
