# One Makefile for everything; folders are lists here.  Objects go to $(BUILD), with their dependencies beside them.
SRC ?= .
BUILD ?= build

FOLDERS = util core cpu tcg tcg/x86_64 \
          hw/intc hw/timer hw/char hw/input hw/display hw/block hw/pci hw/isa hw/acpi hw/misc hw/scsi hw/usb hw/virtio \
          hw/net hw/audio \
          backends/char backends/block backends/net backends/9p backends/audio ui \
          machines debugger $(addprefix debugger/,commands expression gdb linux monitor qmp symbols unwind)
LIB_SOURCES = $(foreach f,$(FOLDERS),$(wildcard $(SRC)/$(f)/*.c))
UNIT_TESTS = $(patsubst $(SRC)/tests/unit/%.c,%,$(wildcard $(SRC)/tests/unit/test_*.c))

.PHONY: all
all: $(BUILD)/myna $(BUILD)/myna-img

# ---- set-up ----

# Made on first use, and again as it was when configure changes; run, check and bench also install what is missing.
$(BUILD)/config.mk: $(SRC)/configure
	@if [ -n "$(filter run check check-% bench,$(MAKECMDGOALS))" ]; then $(SRC)/scripts/install-deps; fi
	@mkdir -p $(BUILD)
	@if [ -f $(BUILD)/config.status ]; then sh $(BUILD)/config.status; \
	 else $(SRC)/configure --build-dir=$(BUILD); fi >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }
	@cat $(BUILD)/configure.log
NO_CONFIG = clean help check-layers
ifneq ($(filter-out $(NO_CONFIG),$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/config.mk
endif

# ---- objects ----

MYNA_CFLAGS = -g -std=c11 -D_GNU_SOURCE -Wall -Wextra -ffp-contract=off -pthread $(CONFIG_CFLAGS) -I$(SRC) -I$(BUILD) \
              -DMYNA_DATA_DIR='"$(PREFIX)/share/myna"' $(CPPFLAGS) $(CFLAGS)
LIBS = $(CONFIG_LIBS) -lm

$(BUILD)/%.o: $(SRC)/%.c $(BUILD)/config.mk
	@mkdir -p $(@D)
	@echo "  CC      $*.c"
	@$(CC) $(MYNA_CFLAGS) -MMD -MP -c $< -o $@

LIB_OBJECTS = $(LIB_SOURCES:$(SRC)/%.c=$(BUILD)/%.o)
CPU_TEST_OBJECTS = $(patsubst $(SRC)/%.c,$(BUILD)/%.o,$(wildcard $(SRC)/tests/cpu/*.c))
FUZZ_PARTS = $(foreach f,compare generate program vm,$(BUILD)/tests/fuzz/$(f).o) \
             $(foreach f,case encode random registers,$(BUILD)/tests/cpu/$(f).o)
FUZZ_OBJECTS = $(BUILD)/tests/fuzz/main.o $(FUZZ_PARTS)
LIBFUZZER_OBJECTS = $(patsubst $(SRC)/%.c,$(BUILD)/%.o,$(wildcard $(SRC)/tests/fuzz/fuzz_*.c)) \
                    $(BUILD)/tests/fuzz/device_bench.o
FP_TEST_OBJECTS = $(patsubst $(SRC)/%.c,$(BUILD)/%.o,$(wildcard $(SRC)/tests/fp/*.c))
DECODE_OBJECTS = $(patsubst $(SRC)/%.c,$(BUILD)/%.o,$(wildcard $(SRC)/tests/decode/*.c)) \
                 $(foreach f,case encode random native,$(BUILD)/tests/cpu/$(f).o)
PIN_OBJECTS = $(BUILD)/tests/cpu/pins/main.o
IMG_OBJECTS = $(patsubst $(SRC)/%.c,$(BUILD)/%.o,$(wildcard $(SRC)/img/*.c))
IO_OBJECTS = $(BUILD)/tests/img/io.o
PICTURE_OBJECTS = $(patsubst $(SRC)/%.c,$(BUILD)/%.o,$(wildcard $(SRC)/tests/display/*.c))
UNIT_TEST_OBJECTS = $(UNIT_TESTS:%=$(BUILD)/tests/unit/%.o)
.SECONDARY: $(UNIT_TEST_OBJECTS)
-include $(patsubst %.o,%.d,$(BUILD)/main.o $(IMG_OBJECTS) $(LIB_OBJECTS) $(CPU_TEST_OBJECTS) $(FUZZ_OBJECTS) $(LIBFUZZER_OBJECTS) \
                            $(DECODE_OBJECTS) \
                            $(PIN_OBJECTS) $(IO_OBJECTS) $(PICTURE_OBJECTS) \
                            $(FP_TEST_OBJECTS) $(UNIT_TEST_OBJECTS))

# ---- programs ----

$(BUILD)/libmyna.a: $(LIB_OBJECTS)
	@echo "  AR      $(@F)"
	@rm -f $@
	@$(AR) rcs $@ $^

LINK = @echo "  LINK    $(@F)"; $(CC) $(MYNA_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/myna: $(BUILD)/main.o $(BUILD)/libmyna.a
	$(LINK)
$(BUILD)/myna-img: $(IMG_OBJECTS) $(BUILD)/libmyna.a
	$(LINK)
$(BUILD)/cpu-tests: $(CPU_TEST_OBJECTS) $(BUILD)/libmyna.a
	$(LINK)
$(BUILD)/cpu-pins: $(PIN_OBJECTS) $(BUILD)/libmyna.a
	$(LINK)
$(BUILD)/myna-io: $(IO_OBJECTS) $(BUILD)/libmyna.a
	$(LINK)
$(BUILD)/fp-tests: LIBS += $(CONFIG_MPFR_LIBS) # which are there when configure found them
$(BUILD)/fp-tests: $(FP_TEST_OBJECTS) $(BUILD)/libmyna.a
	$(LINK)
$(BUILD)/fuzz-cpu: $(FUZZ_OBJECTS) $(BUILD)/libmyna.a
	$(LINK)
# By scripts/check-libfuzzer, with clang.
$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/libmyna.a
	$(LINK) -fsanitize=fuzzer
$(BUILD)/fuzz_program: $(BUILD)/tests/fuzz/fuzz_program.o $(FUZZ_PARTS) $(BUILD)/libmyna.a
	$(LINK) -fsanitize=fuzzer
$(BUILD)/fuzz_device: $(BUILD)/tests/fuzz/fuzz_device.o $(BUILD)/tests/fuzz/device_bench.o $(BUILD)/libmyna.a
	$(LINK) -fsanitize=fuzzer
$(BUILD)/decode-check: $(DECODE_OBJECTS) $(BUILD)/libmyna.a
	$(LINK)
# The display cases and their model (tests/display).
$(BUILD)/tests/unit/test_vga_modes: $(BUILD)/tests/display/cases.o $(BUILD)/tests/display/model.o
$(BUILD)/tests/display/picture: $(PICTURE_OBJECTS)
	$(LINK)
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/libmyna.a
	$(LINK)

.PHONY: unit-tests cpu-tests install clean help
unit-tests: $(UNIT_TESTS:%=$(BUILD)/tests/unit/%)
cpu-tests: $(BUILD)/cpu-tests

install: $(BUILD)/myna $(BUILD)/myna-img
	mkdir -p "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/myna" "$(DESTDIR)$(PREFIX)/share/doc/myna"
	install -m 755 $(BUILD)/myna $(BUILD)/myna-img "$(DESTDIR)$(PREFIX)/bin"
	install -m 644 $(SRC)/README.md $(SRC)/LICENSE $(SRC)/docs/*.md "$(DESTDIR)$(PREFIX)/share/doc/myna"

# A build folder that configure was called in stays configured.
clean:
ifeq ($(BUILD),build)
	rm -rf $(BUILD)
else
	cd $(BUILD) && rm -rf $(sort $(foreach f,$(FOLDERS),$(firstword $(subst /, ,$(f))))) tests guest hosts img \
	    main.o main.d libmyna.a myna myna-img cpu-tests cpu-pins fp-tests fuzz-cpu decode-check myna-io \
	    libfuzzer
endif

# ---- the guest ----

# Rules for $(BUILD)/tests/guest/..., and check-guest.
-include $(SRC)/tests/guest/guests.mk
# `make bench`.
-include $(SRC)/tests/bench/bench.mk

.PHONY: run run-desktop guest guest-debug
guest:
	@$(SRC)/scripts/make-guest $(BUILD)/guest
# The same with a disk to start it from and the kernel's symbols, for tests/debug; what cannot be had is said and left out.
guest-debug: guest
	@$(SRC)/scripts/make-guest-disk $(BUILD)/guest || [ $$? = 77 ]
	@$(SRC)/scripts/make-guest-symbols $(BUILD)/guest || [ $$? = 77 ]

run: $(BUILD)/myna
	@$(SRC)/scripts/install-deps
	@KERNEL="$(KERNEL)" INITRD="$(INITRD)" APPEND="$(APPEND)" MAKE="$(MAKE)" $(SRC)/scripts/run-guest $(BUILD)

run-desktop: $(BUILD)/myna
	@$(SRC)/scripts/install-deps
	@$(SRC)/scripts/run-desktop $(BUILD)

# ---- tests (docs/testing.md); tests/run counts and sums up ----

SUITES ?= layers unit fp decode cpu fuzz guest debug disk net display ui sound hosts
CASES ?= 50
PROGRAMS ?= 4000
STRINGS ?= 1000000
# Of work that QEMU and Myna do on one image.
SEQUENCES ?= 30
# Of each libFuzzer target, within make check; of all devices together.
FUZZ_SECONDS ?= 10
# Of each operation; check-fp has its own default.
FP_CASES = $(if $(filter file,$(origin CASES)),1000,$(CASES))
PINS = $(wildcard $(SRC)/tests/cpu/pins/*.txt)
# The recompiler is tested beside the interpreter where there is one.
TESTED_RECOMPILER = $(if $(filter x86_64,$(shell uname -m)),tcg$(comma)hot=1)
comma = ,
SUITE_layers = layers=$(SRC)/scripts/check-layers
SUITE_unit = $(foreach t,$(UNIT_TESTS),unit/$(t:test_%=%)=$(BUILD)/tests/unit/$(t))
SUITE_fp = 'fp=$(if $(CONFIG_MPFR_LIBS),$(BUILD)/fp-tests --cases $(FP_CASES),echo skipped: needs MPFR; exit 77)'
SUITE_cpu = 'cpu=$(BUILD)/cpu-tests --cases $(CASES)' 'cpu/narrow=$(BUILD)/cpu-tests --narrow --cases 10 V EV'
SUITE_decode = 'decode=$(BUILD)/decode-check --strings $(STRINGS) $(SRC)/tests/decode/differences'
SUITE_fuzz = 'fuzz=$(BUILD)/fuzz-cpu --programs $(PROGRAMS) --seed 1' \
             'fuzz/libfuzzer=MAKE="$(MAKE)" $(SRC)/scripts/check-libfuzzer $(BUILD) $(FUZZ_SECONDS)'
SUITE_guest = $(foreach e,interp $(TESTED_RECOMPILER),'guest/$(firstword $(subst $(comma), ,$(e)))=$(MAKE) \
              --no-print-directory check-guest ENGINE=$(e)')
# Sessions of a monitor, gdb and others with the emulator (tests/debug).
DEBUG_TESTS = $(sort $(notdir $(wildcard $(filter-out %/lib,$(wildcard $(SRC)/tests/debug/*)))))
SUITE_debug = $(foreach t,$(DEBUG_TESTS),'debug/$t=MYNA=$(abspath $(BUILD))/myna GUESTS=$(abspath $(GUEST_BUILD)) \
              LINUX=$(abspath $(BUILD))/guest $(SRC)/tests/debug/$t')
SUITE_disk = 'disk=MYNA=$(abspath $(BUILD))/myna $(SRC)/tests/disk/run-small $(BUILD)/disk' \
             'disk/interchange=MYNA_IMG=$(abspath $(BUILD))/myna-img MYNA_IO=$(abspath $(BUILD))/myna-io \
             $(SRC)/tests/disk/interchange $(SEQUENCES)' \
             'disk/formats=BUILD=$(abspath $(BUILD)) SEQUENCES=1 $(SRC)/tests/disk/formats'
SUITE_ui = 'ui/sdl=MYNA=$(abspath $(BUILD))/myna $(SRC)/tests/ui/run-sdl' \
    'ui/vnc=MYNA=$(abspath $(BUILD))/myna SCREEN=$(BUILD)/tests/ui/screen.elf $(SRC)/tests/ui/run-vnc $(BUILD)/ui/vnc' \
    'ui/curses=MYNA=$(abspath $(BUILD))/myna TEXT=$(BUILD)/tests/ui/text.elf $(SRC)/tests/ui/run-curses $(BUILD)/ui/curses'
SUITE_net = 'net/cards=MYNA=$(abspath $(BUILD))/myna $(SRC)/tests/net/run-cards $(BUILD)/net' \
            'net/shares=MYNA=$(abspath $(BUILD))/myna $(SRC)/tests/net/run-share $(BUILD)/share'
SUITE_display = 'display/modes=MYNA=$(abspath $(BUILD))/myna GUESTS=$(abspath $(GUEST_BUILD)) \
                PICTURE=$(abspath $(BUILD))/tests/display/picture $(SRC)/tests/display/run-modes'
SUITE_sound = 'sound=MYNA=$(abspath $(BUILD))/myna $(SRC)/tests/audio/run-sound $(BUILD)/sound'
SUITE_hosts = '+hosts=$(SRC)/scripts/check-hosts $(BUILD)'
BUILT_FOR_unit = unit-tests
BUILT_FOR_fp = $(if $(CONFIG_MPFR_LIBS),$(BUILD)/fp-tests)
BUILT_FOR_decode = $(BUILD)/decode-check
BUILT_FOR_cpu = cpu-tests
BUILT_FOR_fuzz = $(BUILD)/fuzz-cpu
BUILT_FOR_guest = all guests
BUILT_FOR_debug = all guests
BUILT_FOR_disk = all $(BUILD)/myna-io
BUILT_FOR_net = all
BUILT_FOR_display = all guests $(BUILD)/tests/display/picture
BUILT_FOR_ui = all $(UI_GUESTS)
BUILT_FOR_sound = all
BUILT_FOR_hosts = all cpu-tests $(if $(GUEST_CC),guests)

.PHONY: check check-layers check-unit check-fp check-decode check-cpu check-fuzz check-pins pins fuzz-cpu \
        fuzz-decode fuzz-programs fuzz-formats fuzz-images fuzz-devices check-debug check-disk check-net check-display \
        check-ui check-sound check-hosts check-kut
check: $(sort $(foreach s,$(SUITES),$(BUILT_FOR_$(s))))
	+@$(SRC)/tests/run $(foreach s,$(SUITES),$(SUITE_$(s)))

check-layers:
	@$(SRC)/tests/run $(SUITE_layers)
check-unit: $(BUILT_FOR_unit)
	@$(SRC)/tests/run $(SUITE_unit)
check-fp: $(BUILT_FOR_fp)
	@$(if $(CONFIG_MPFR_LIBS),$(BUILD)/fp-tests --cases $(FP_CASES),$(SRC)/tests/run $(SUITE_fp))
check-cpu: $(BUILT_FOR_cpu)
	@$(BUILD)/cpu-tests --cases $(CASES)
.PHONY: conformance
conformance: $(BUILT_FOR_cpu)
	@$(BUILD)/cpu-tests --cases $(CASES) --report $(SRC)/docs/conformance.md
check-decode: $(BUILT_FOR_decode)
	@$(BUILD)/decode-check --strings $(STRINGS) $(SRC)/tests/decode/differences
check-fuzz: $(BUILT_FOR_fuzz)
	@$(BUILD)/fuzz-cpu --programs $(PROGRAMS) --seed 1
# libFuzzer, for so many seconds.
SECONDS ?= 60
fuzz-decode fuzz-programs fuzz-formats fuzz-images: $(BUILD)/config.mk
	+@MAKE="$(MAKE)" $(SRC)/scripts/check-libfuzzer $(BUILD) $(SECONDS) \
	    $(patsubst fuzz-%,%,$(patsubst %images,%image,$(@:programs=program)))
# All devices share the time; each of DEVICES="..." has it.
fuzz-devices: $(BUILD)/config.mk
	+@MAKE="$(MAKE)" $(SRC)/scripts/check-libfuzzer $(BUILD) $(SECONDS) $(or $(DEVICES:%=device/%),device)
fuzz-cpu: $(BUILD)/fuzz-cpu
	@$(BUILD)/fuzz-cpu
check-pins: $(BUILD)/cpu-pins
	@$(BUILD)/cpu-pins $(PINS)
pins: $(BUILD)/cpu-pins
	@$(BUILD)/cpu-pins --rewrite $(PINS)
check-debug: $(BUILT_FOR_debug)
	@$(SRC)/tests/run $(SUITE_debug)
check-disk: $(BUILT_FOR_disk)
	@$(SRC)/tests/run $(SUITE_disk)
check-net: $(BUILT_FOR_net)
	@$(SRC)/tests/run $(SUITE_net)
check-display: $(BUILT_FOR_display)
	@$(SRC)/tests/run $(SUITE_display)
check-ui: $(BUILT_FOR_ui)
	@$(SRC)/tests/run $(SUITE_ui)
check-sound: $(BUILT_FOR_sound)
	@$(SRC)/tests/run $(SUITE_sound)
check-hosts: $(BUILT_FOR_hosts)
	+@$(SRC)/scripts/check-hosts $(BUILD)

check-kut: $(BUILD)/myna
	@[ -n "$(KUT)" ] || { echo "make check-kut KUT=DIR: DIR holds built kvm-unit-tests (docs/testing.md)"; exit 1; }
	@ENGINE=$(ENGINE) $(SRC)/scripts/run-kut $(BUILD)/myna "$(KUT)" $(TESTS)

help:
	@sed -n 's/^##//p' $(SRC)/Makefile
## make                 builds build/myna, after configure when that has not been called
## make run             set-up, build, and a guest in this terminal; KERNEL=, INITRD=, APPEND= replace the guest
## make guest-debug     that guest with a disk and the kernel's symbols, for check-debug
## make check           set-up, build, and all tests; SUITES="layers unit fp decode ..." chooses
## make check-layers, check-unit, check-fp, check-cpu, check-fuzz, check-guest, check-debug, check-disk, check-net,
##      check-display, check-ui, check-sound, check-hosts    one each
## make check-cpu CASES=N                  N random cases for each instruction and code size [50]
## make conformance CASES=N                writes docs/conformance.md of the same comparison
## make check-fp CASES=N                   N random cases for each floating-point operation, against MPFR [1000]
## make check-decode STRINGS=N             N random byte strings for each code size, beside capstone [1000000]
## make check-guest ENGINE=tcg,hot=1      the guests with these options of -accel
## make check-fuzz PROGRAMS=N, make fuzz-cpu   random programs, interpreted and recompiled; without an end
## make fuzz-decode, fuzz-programs, fuzz-formats, fuzz-images [SECONDS=60]   libFuzzer on the decoder, on programs in
##                      both engines, and on images' metadata
## make fuzz-devices [DEVICES="nvme VGA"] [SECONDS=60]     libFuzzer on devices' registers
## make check-pins, make pins             compares, or writes anew, the recompiler's code for short sequences
## make check-kut KUT=DIR [TESTS="..."] [ENGINE=interp]    kvm-unit-tests built in DIR
## make bench [ROWS=int,call] [N=3] [ENGINES="tcg interp"] [AGAINST=OTHER/myna]    speed, beside QEMU (docs/testing.md)
## make install [PREFIX=DIR] [DESTDIR=DIR]
## make clean
