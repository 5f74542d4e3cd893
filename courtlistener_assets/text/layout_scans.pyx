# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False, cdivision=True
"""The compiled form of `layout_scans.py`, which says what each function does."""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_AsSsize_t
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport qsort
from libc.string cimport memset

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    Py_UCS4 PyUnicode_READ(int kind, void* data, Py_ssize_t index)
    bint Py_UNICODE_ISSPACE(Py_UCS4 character) nogil

cdef extern from "courtlistener_assets/text/scans.h":
    int take_turns() except -1

ctypedef fused Units:
    uint8_t
    uint16_t
    uint32_t

cdef enum:
    _SPREAD = 1024
    _LINES_A_PIECE = 30
    _MIN_LINES = 3
    _PROSE_LINES = 8

cdef double _LONGEST = 1.25, _MIN_RUNNING_SHARE = 0.2, _NARROW = 0.75


cdef Py_ssize_t* _numbers(list numbers) except NULL:
    """The numbers of a list, to be given back with `PyMem_Free`."""
    cdef Py_ssize_t size = PyList_GET_SIZE(numbers), index
    cdef Py_ssize_t* found = <Py_ssize_t*>PyMem_Malloc((size + 1) * sizeof(Py_ssize_t))
    if found == NULL:
        raise MemoryError
    try:
        for index in range(size):
            found[index] = PyLong_AsSsize_t(<object>PyList_GET_ITEM(numbers, index))
    except:
        PyMem_Free(found)
        raise
    return found


cdef list _listed(const Py_ssize_t* numbers, Py_ssize_t size):
    """Numbers as a list; the same ones behind each other are one object."""
    cdef list found = PyList_New(size)
    cdef Py_ssize_t index
    cdef object number = None
    for index in range(size):
        if index == 0 or numbers[index] != numbers[index - 1]:
            number = numbers[index]
        Py_INCREF(number)
        PyList_SET_ITEM(found, index, number)
    return found


cdef int _compare(const void* one, const void* other) noexcept nogil:
    return ((<const Py_ssize_t*>one)[0] > (<const Py_ssize_t*>other)[0]) - (
        (<const Py_ssize_t*>one)[0] < (<const Py_ssize_t*>other)[0])


cdef void _sort(Py_ssize_t* numbers, Py_ssize_t size) noexcept nogil:
    """Sort numbers, which are nearly always few and columns of one page: then by counting each."""
    cdef Py_ssize_t counts[_SPREAD]
    cdef Py_ssize_t index, least, most, at = 0
    if not size:
        return
    least = most = numbers[0]
    for index in range(1, size):
        least = min(least, numbers[index])
        most = max(most, numbers[index])
    if most - least >= _SPREAD:
        qsort(numbers, size, sizeof(Py_ssize_t), _compare)
        return
    memset(counts, 0, (most - least + 1) * sizeof(Py_ssize_t))
    for index in range(size):
        counts[numbers[index] - least] += 1
    for index in range(most - least + 1):
        while counts[index]:
            numbers[at] = least + index
            counts[index] -= 1
            at += 1


def in_order(list numbers not None):
    cdef Py_ssize_t* found = _numbers(numbers)
    _sort(found, PyList_GET_SIZE(numbers))
    try:
        return _listed(found, PyList_GET_SIZE(numbers))
    finally:
        PyMem_Free(found)


def commonest(list numbers not None):
    cdef Py_ssize_t size = PyList_GET_SIZE(numbers), index, run = 0, longest = 0
    cdef Py_ssize_t* ordered = _numbers(numbers)
    cdef list most = []
    try:
        _sort(ordered, size)
        for index in range(size):
            run = run + 1 if index and ordered[index] == ordered[index - 1] else 1
            if run >= longest and (index + 1 == size or ordered[index + 1] != ordered[index]):
                if run > longest:
                    most.clear()
                longest = run
                most.append(ordered[index])
    finally:
        PyMem_Free(ordered)
    if len(most) == 1:
        return most[0]
    known = frozenset(most)
    for number in numbers:
        if number in known:
            return number


cdef Py_ssize_t _margin_of(Py_ssize_t* ends, Py_ssize_t size, Py_ssize_t quarters) noexcept nogil:
    cdef double longest
    cdef Py_ssize_t last = size - 1
    _sort(ends, size)
    longest = _LONGEST * ends[size * quarters // 4]
    while last > 0 and ends[last] > longest:
        last -= 1
    return ends[last]


def margin_of(list ends not None, Py_ssize_t quarters):
    cdef Py_ssize_t* found
    if not ends:
        raise IndexError("no ends of lines")
    found = _numbers(ends)
    try:
        return _margin_of(found, PyList_GET_SIZE(ends), quarters)
    finally:
        PyMem_Free(found)


cdef Py_ssize_t _of_block(
    const Py_ssize_t* ends, list runs_on, Py_ssize_t start, Py_ssize_t end, Py_ssize_t right, Py_ssize_t* room
) noexcept:
    """The right margin of a block, for which there is room to sort its ends."""
    cdef Py_ssize_t index, running = 0, size = end - start, margin
    cdef bint prose
    if size < _MIN_LINES:
        return 0
    for index in range(start, end):
        if index + 1 < PyList_GET_SIZE(runs_on) and <object>PyList_GET_ITEM(runs_on, index + 1) is True:
            room[running] = ends[index]
            running += 1
    if running >= _MIN_LINES:
        margin = _margin_of(room, running, 1)
        prose = size >= _PROSE_LINES and running >= _MIN_RUNNING_SHARE * size
    else:
        for index in range(size):
            room[index] = ends[start + index]
        margin = _margin_of(room, size, 2)
        prose = False
    return margin if margin >= _NARROW * right or prose else 0


def right_margins(list ends not None, list steps not None, list runs_on not None, Py_ssize_t right):
    cdef Py_ssize_t size = PyList_GET_SIZE(ends), index, end, start = 0, blocks = 0, place, step, margin
    cdef Py_ssize_t room[2 * _LINES_A_PIECE]
    cdef Py_ssize_t* columns = NULL
    cdef Py_ssize_t* starts = NULL
    cdef Py_ssize_t* own = NULL
    take_turns()
    try:
        columns = _numbers(ends)
        starts = <Py_ssize_t*>PyMem_Malloc((size + 1) * sizeof(Py_ssize_t))
        own = <Py_ssize_t*>PyMem_Malloc((size + 1) * sizeof(Py_ssize_t))
        if starts == NULL or own == NULL:
            raise MemoryError
        for end in range(1, size + 1):
            if end < size:
                step = PyLong_AsSsize_t(<object>PyList_GET_ITEM(steps, end))
                if -2 < step < 2:
                    continue
            while start < end:
                starts[blocks] = start
                start = start + _LINES_A_PIECE if end - start >= 2 * _LINES_A_PIECE else end
                own[blocks] = _of_block(columns, runs_on, starts[blocks], start, right, room)
                blocks += 1
        starts[blocks] = size
        for place in range(blocks):
            margin = own[place]
            if not margin and place + 1 < blocks:
                margin = own[place + 1]
            if not margin and place:
                margin = own[place - 1]
            for index in range(starts[place], starts[place + 1]):
                columns[index] = margin or right
        return _listed(columns, size)
    finally:
        PyMem_Free(columns)
        PyMem_Free(starts)
        PyMem_Free(own)


cdef inline Py_ssize_t _first_word(object text) noexcept:
    """The size of a line's first word and of the space before it; of a drawn line, hardly any."""
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text), at = 0
    cdef Py_UCS4 sign = PyUnicode_READ(kind, data, 0)
    if sign == 0x5F or sign == 0x3D or sign == 0x7E or sign == 0x2A:
        return 2
    while at < size and PyUnicode_READ(kind, data, at) != 0x20:
        at += 1
    return at + 1


cdef inline Py_ssize_t _number(list numbers, Py_ssize_t index) except? -1:
    return PyLong_AsSsize_t(<object>PyList_GET_ITEM(numbers, index))


def room_left(list places not None, list rights not None, list ends not None, list texts not None):
    cdef Py_ssize_t index
    cdef list found = []
    take_turns()
    for place in places:
        index = place
        found.append(
            _number(rights, index) - _number(ends, index) - _first_word(<object>PyList_GET_ITEM(texts, index + 1))
        )
    return found


def short_lines(list rights not None, list ends not None, list texts not None, Py_ssize_t slack):
    cdef Py_ssize_t index, room, last = PyList_GET_SIZE(texts) - 1
    cdef list found = []
    take_turns()
    for index in range(last + 1):
        room = _number(rights, index) - _number(ends, index)
        found.append(
            index < last
            and room > slack + 1
            and room - _first_word(<object>PyList_GET_ITEM(texts, index + 1)) > slack
        )
    return found


def gaps_above(list blanks not None, list edges not None, Py_ssize_t most):
    cdef Py_ssize_t size = PyList_GET_SIZE(blanks), index, above, below, widest = 0
    cdef Py_ssize_t* here = NULL
    cdef Py_ssize_t* gaps = NULL
    take_turns()
    try:
        here = _numbers(blanks)
        gaps = <Py_ssize_t*>PyMem_Malloc((size + 1) * sizeof(Py_ssize_t))
        if gaps == NULL:
            raise MemoryError
        for index in range(size):
            widest = max(widest, here[index])
            here[index] = min(here[index], most)
        if not widest:
            return []
        for index in range(size):
            above, below = here[max(index - 1, 0)], here[min(index + 1, size - 1)]
            gaps[index] = here[index] * (most + 1) + min(above, below)
        for index in range(size):
            if <object>PyList_GET_ITEM(edges, index) is True:
                gaps[index] = 0
                if index:
                    gaps[index - 1] = here[index - 1] * (most + 1) + here[max(0, index - 2)]
                if index + 1 < size:
                    gaps[index + 1] = here[index + 1] * (most + 1) + here[min(index + 2, size - 1)]
        return _listed(gaps, size)
    finally:
        PyMem_Free(here)
        PyMem_Free(gaps)


def counted(list gaps not None, Py_ssize_t kinds, list runs_on not None, list unfinished not None):
    cdef Py_ssize_t index, gap
    cdef Py_ssize_t* counts = <Py_ssize_t*>PyMem_Calloc(3 * kinds, sizeof(Py_ssize_t))
    if counts == NULL:
        raise MemoryError
    try:
        take_turns()
        for index in range(PyList_GET_SIZE(gaps)):
            gap = _number(gaps, index)
            if not 0 <= gap < kinds:
                raise IndexError(gap)
            counts[gap] += 1
            if <object>PyList_GET_ITEM(runs_on, index) is True:
                counts[kinds + gap] += 1
            if index and <object>PyList_GET_ITEM(unfinished, index - 1) is True:
                counts[2 * kinds + gap] += 1
        return _listed(counts, kinds), _listed(counts + kinds, kinds), _listed(counts + 2 * kinds, kinds)
    finally:
        PyMem_Free(counts)


cdef inline bint _has_dots(const Units* units, Py_ssize_t size) noexcept nogil:
    """Whether there are five dots in a row, or with a space between each: one of every three characters tells."""
    cdef Py_ssize_t at = 2, first, last
    while at < size:
        if units[at] == 0x2E:
            first = last = at
            while first > 0 and at - first < 4 and units[first - 1] == 0x2E:
                first -= 1
            while last + 1 < size and last - first < 4 and units[last + 1] == 0x2E:
                last += 1
            if last - first == 4:
                return True
            first = last = at
            while first > 1 and at - first < 8 and units[first - 1] == 0x20 and units[first - 2] == 0x2E:
                first -= 2
            while last + 2 < size and last - first < 8 and units[last + 1] == 0x20 and units[last + 2] == 0x2E:
                last += 2
            if last - first == 8:
                return True
        at += 3
    return False


def with_dots(list texts not None):
    cdef Py_ssize_t index, size
    cdef list found = []
    cdef void* data
    cdef int kind
    cdef bint has
    take_turns()
    for index in range(PyList_GET_SIZE(texts)):
        text = <object>PyList_GET_ITEM(texts, index)
        kind, data, size = PyUnicode_KIND(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)
        if kind == 1:
            has = _has_dots(<const uint8_t*>data, size)
        elif kind == 2:
            has = _has_dots(<const uint16_t*>data, size)
        else:
            has = _has_dots(<const uint32_t*>data, size)
        if has:
            found.append(index)
    return found


cdef _add_spaces(const Units* units, Py_ssize_t size, list sizes, list wide):
    cdef Py_ssize_t at = 0, start, last = size
    while at < size and Py_UNICODE_ISSPACE(units[at]):
        at += 1
    while last > at and Py_UNICODE_ISSPACE(units[last - 1]):
        last -= 1
    while at < last:
        if units[at] != 0x20:
            at += 1
            continue
        start = at
        while units[at] == 0x20:
            at += 1
        sizes.append(at - start)
        if at - start > 2 and not Py_UNICODE_ISSPACE(units[start - 1]) and not Py_UNICODE_ISSPACE(units[at]):
            wide.append((start, at))


def spaces_inside(str line not None):
    cdef list sizes = [], wide = []
    cdef int kind = PyUnicode_KIND(line)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(line)
    if kind == 1:
        _add_spaces(<const uint8_t*>PyUnicode_DATA(line), size, sizes, wide)
    elif kind == 2:
        _add_spaces(<const uint16_t*>PyUnicode_DATA(line), size, sizes, wide)
    else:
        _add_spaces(<const uint32_t*>PyUnicode_DATA(line), size, sizes, wide)
    return sizes if wide else [], wide
