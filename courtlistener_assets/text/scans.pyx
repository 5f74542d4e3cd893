# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled form of `scans.py`, which says what each function does."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc, realloc

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    str PyUnicode_FromKindAndData(int kind, const void* buffer, Py_ssize_t size)
    bint Py_UNICODE_ISSPACE(Py_UCS4 character) nogil

cdef extern from "courtlistener_assets/text/scans.h":
    Py_ssize_t next_unusual_1(const uint8_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_unusual_2(const uint16_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_unusual_4(const uint32_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    bint has_part_1(const uint8_t* units, Py_ssize_t size, const char* part, Py_ssize_t length) nogil
    bint has_part_2(const uint16_t* units, Py_ssize_t size, const char* part, Py_ssize_t length) nogil
    bint has_part_4(const uint32_t* units, Py_ssize_t size, const char* part, Py_ssize_t length) nogil
    Py_ssize_t next_gap_1(const uint8_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_gap_2(const uint16_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_gap_4(const uint32_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_blank_1(const uint8_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_blank_2(const uint16_t* units, Py_ssize_t at, Py_ssize_t size) nogil
    Py_ssize_t next_blank_4(const uint32_t* units, Py_ssize_t at, Py_ssize_t size) nogil

ctypedef fused Units:
    uint8_t
    uint16_t
    uint32_t


cdef _unusual(const Units* units, Py_ssize_t size):
    cdef Py_ssize_t at = 0, count = 0, room = 256
    cdef Units* found = NULL
    while True:
        if Units is uint8_t:
            at = next_unusual_1(units, at, size)
        elif Units is uint16_t:
            at = next_unusual_2(units, at, size)
        else:
            at = next_unusual_4(units, at, size)
        if at == size:
            break
        if found == NULL or count == room:
            room *= 2
            found = <Units*>realloc(found, room * sizeof(Units))
            if found == NULL:
                raise MemoryError
        found[count] = units[at]
        count += 1
        at += 1
    if found == NULL:
        return ""
    text = PyUnicode_FromKindAndData(sizeof(Units), found, count)
    free(found)
    return text


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


cdef inline bint _is_gap(uint32_t unit) noexcept nogil:
    """What `repair` leaves of white space in a line of markup."""
    return unit == 0x20 or unit == 10 or unit == 0xA0 or unit == 9 or unit == 12


cdef str _one_line(str text, const Units* units, Py_ssize_t size):
    cdef Py_ssize_t at
    if Units is uint8_t:
        at = next_gap_1(units, 0, size)
    elif Units is uint16_t:
        at = next_gap_2(units, 0, size)
    else:
        at = next_gap_4(units, 0, size)
    if at == size:
        return text.strip(" ")
    cdef Units* line = <Units*>malloc(size * sizeof(Units))
    cdef Py_ssize_t length = 0
    cdef bint behind_gap = True
    if line == NULL:
        raise MemoryError
    for at in range(size):
        if _is_gap(units[at]):
            if not behind_gap:
                line[length] = 0x20
                length += 1
            behind_gap = True
        else:
            line[length] = units[at]
            length += 1
            behind_gap = False
    if length and behind_gap:
        length -= 1
    text = PyUnicode_FromKindAndData(sizeof(Units), line, length)
    free(line)
    return text


def one_line(str text not None):
    cdef int kind = PyUnicode_KIND(text)
    if kind == 1:
        return _one_line(text, <const uint8_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    if kind == 2:
        return _one_line(text, <const uint16_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    return _one_line(text, <const uint32_t*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
