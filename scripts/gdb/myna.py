"""For gdb at Myna's gdb port:  gdb -x scripts/gdb/myna.py vmlinux

- The architecture follows the processor: i8086, i386 or i386:x86-64 at each stop, so that code is disassembled as it
  runs.
- Frames of 16-bit code are found by SS:BP and SS:SP: bt, finish, up and next work in real mode.
- What the monitor changes, gdb reads again.

"set myna-architecture off" leaves the architecture alone.
"""
import gdb
import gdb.unwinder

ARCHITECTURES = {16: 'i8086', 32: 'i386', 64: 'i386:x86-64'}


class AutoArchitecture(gdb.Parameter):
    """Whether the architecture follows the processor's mode at each stop."""
    set_doc = 'Set whether the architecture follows the processor.'
    show_doc = 'Show whether the architecture follows the processor.'

    def __init__(self):
        super().__init__('myna-architecture', gdb.COMMAND_DATA, gdb.PARAM_BOOLEAN)
        self.value = True

    def get_set_string(self):
        return ''

    def get_show_string(self, value):
        return f'The architecture follows the processor: {value}.'


automatic = AutoArchitecture()


def follow(*events):
    """Sets the architecture that fits the processor's mode now."""
    if not automatic.value:
        return
    try:
        mode = int(gdb.parse_and_eval('$mode'))
    except (gdb.error, TypeError, ValueError):
        return  # another target
    name = ARCHITECTURES.get(mode)
    if not name or gdb.newest_frame().architecture().name() == name:
        return
    # There is no operating system in 16-bit code, and gdb warns of one that it does not know there.
    gdb.execute('set osabi ' + ('none' if mode == 16 else 'auto'), to_string=True)
    gdb.execute('set architecture ' + name, to_string=True)
    if events and mode == 64:
        gdb.execute('frame')  # what was printed was a 32-bit view of it


class FrameId:
    """A frame by its stack address alone: which function it is of, needs no symbols."""

    def __init__(self, sp):
        self.sp = gdb.Value(sp)


class RealModeUnwinder(gdb.unwinder.Unwinder):
    """Near calls of 16-bit code.  Addresses are linear, so the segments' bases come in."""

    PUSH_BP, RETURNS = b'\x55', (b'\xc3', b'\xc2')
    COPY_SP = (b'\x89\xe5', b'\x8b\xec')  # mov %sp, %bp

    KEPT = ('eax ebx ecx edx esi edi eflags cs ss ds es fs gs cs_base ss_base ds_base es_base mode').split()

    def __init__(self):
        super().__init__('myna-16-bit')

    def places(self, frame, code, sp, bp):
        """Where the return address is, linear, and where BP was pushed, or None."""
        if code[:1] == self.PUSH_BP or code[:1] in self.RETURNS:  # not pushed yet, or popped again
            return sp, None
        if code[:2] in self.COPY_SP:
            return sp + 2, sp
        at = int(frame.read_register('ss_base')) + bp
        return (at + 2, at) if at >= sp else (None, None)

    def __call__(self, pending_frame):
        if pending_frame.architecture().name() != 'i8086':
            return None
        read = gdb.selected_inferior().read_memory
        register = lambda name: int(pending_frame.read_register(name)) & 0xffffffff
        pc, sp, bp = register('eip'), register('esp'), register('ebp') & 0xffff
        if register('mode') != 16 or not pc:
            return None
        word = lambda at: int.from_bytes(bytes(read(at, 2)), 'little')
        try:
            place, pushed = self.places(pending_frame, bytes(read(pc, 2)), sp, bp)
            caller = register('cs_base') + word(place) if place else 0  # 0: gdb goes no further
            bp = word(pushed) if pushed else bp
        except gdb.error:
            return None
        top = (place or sp) + 2
        info = pending_frame.create_unwind_info(FrameId(top))
        integer = gdb.lookup_type('unsigned int')
        for name, value in ('eip', caller), ('esp', top), ('ebp', bp):
            info.add_saved_register(name, gdb.Value(value).cast(integer))
        for name in self.KEPT:
            info.add_saved_register(name, pending_frame.read_register(name))
        return info


gdb.unwinder.register_unwinder(None, RealModeUnwinder(), replace=True)
gdb.events.stop.connect(follow)
gdb.events.new_objfile.connect(follow)
gdb.events.before_prompt.connect(follow)
gdb.execute('define hookpost-monitor\nmaintenance flush register-cache\nend', to_string=True)
