# Bare guests (tests/guest): `make guests` builds them, `make check-guest` runs them under $(BUILD)/myna.
#
# They are x86 programs for any host.  Without a compiler for x86 (the host's, or a cross compiler), images that another
# host has built are used: put its build/tests/guest/*.elf into $(BUILD)/tests/guest.
GUEST_SOURCE = $(SRC)/tests/guest
GUEST_BUILD = $(BUILD)/tests/guest
GUEST_CC := $(shell for c in gcc x86_64-linux-gnu-gcc x86_64-elf-gcc i686-linux-gnu-gcc; do \
    if $$c -dumpmachine 2>/dev/null | grep -Eq '^(x86_64|i.86)-.*(linux|elf)'; then echo $$c; break; fi; done)
GUEST_OBJCOPY := $(shell case "$(GUEST_CC)" in (*-gcc) echo "$(GUEST_CC:gcc=objcopy)" ;; (*) echo objcopy ;; esac)

GUESTS = $(patsubst $(GUEST_SOURCE)/%.c,%,$(wildcard $(GUEST_SOURCE)/*.c))
# What one of the two modes does not have, and what does not depend on the mode.
GUESTS_ONLY_32 = small tasks segments paging_legacy triple modes devices storage cet_tasks display
GUESTS_ONLY_64 = segments_long paging_long paging_la57 pkeys cet
GUEST_IMAGES = $(patsubst %,$(GUEST_BUILD)/%-32.elf,$(filter-out $(GUESTS_ONLY_64),$(GUESTS))) \
    $(patsubst %,$(GUEST_BUILD)/%-64.elf,$(filter-out $(GUESTS_ONLY_32),$(GUESTS)))

# A firmware image, for processors that no kernel runs on.
GUEST_IMAGES += $(GUEST_BUILD)/old.bin

GUEST_CFLAGS = -std=gnu11 -O2 -g0 -Wall -Wextra -ffreestanding -fno-builtin -fno-stack-protector -fno-pic -fno-pie \
    -fcf-protection=none -fno-asynchronous-unwind-tables -fno-omit-frame-pointer -fno-strict-aliasing \
    -fno-ipa-cp -fno-toplevel-reorder -mgeneral-regs-only
GUEST_CFLAGS_32 = -m32 -march=i486
GUEST_CFLAGS_64 = -m64 -mno-red-zone -mcmodel=small
GUEST_LINK = -nostdlib -static -no-pie -Wl,-T,$(GUEST_SOURCE)/lib/link.ld -Wl,--build-id=none -Wl,-z,max-page-size=4096
GUEST_LIBRARY = start.S trap.S report.c tables.c
GUEST_HEADERS = $(wildcard $(GUEST_SOURCE)/lib/*.h $(GUEST_SOURCE)/*.h) $(GUEST_SOURCE)/lib/link.ld

ifneq ($(GUEST_CC),)
GUEST_OBJECTS_32 = $(GUEST_LIBRARY:%=$(GUEST_BUILD)/lib32/%.o)
GUEST_OBJECTS_64 = $(GUEST_LIBRARY:%=$(GUEST_BUILD)/lib64/%.o)

# Only what the guest's own files change builds anew.
$(GUEST_BUILD)/lib32/%.o: $(GUEST_SOURCE)/lib/% $(GUEST_HEADERS)
	@mkdir -p $(@D)
	@$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_CFLAGS_32) -c $< -o $@

$(GUEST_BUILD)/lib64/%.o: $(GUEST_SOURCE)/lib/% $(GUEST_HEADERS)
	@mkdir -p $(@D)
	@$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_CFLAGS_64) -c $< -o $@

$(GUEST_BUILD)/%-32.elf: $(GUEST_SOURCE)/%.c $(GUEST_OBJECTS_32) $(GUEST_HEADERS) $(wildcard $(GUEST_SOURCE)/*.S)
	@echo "  GUEST   $*-32"
	@$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_CFLAGS_32) $(GUEST_LINK) -o $@ \
	    $< $(wildcard $(GUEST_SOURCE)/$*.S) $(GUEST_OBJECTS_32)

$(GUEST_BUILD)/old.bin: $(GUEST_SOURCE)/old_bios.S
	@mkdir -p $(@D)
	@echo "  GUEST   old"
	@$(GUEST_CC) -m32 -nostdlib -static -no-pie -Wl,-Ttext=0,-e,0,--build-id=none,--oformat=binary -o $@ $<

$(GUEST_BUILD)/display-32.elf: $(SRC)/tests/display/cases.c $(SRC)/tests/display/cases.h $(SRC)/tests/display/bus.h

# Multiboot asks for an ELF file of class 32.
$(GUEST_BUILD)/%-64.elf: $(GUEST_SOURCE)/%.c $(GUEST_OBJECTS_64) $(GUEST_HEADERS) $(wildcard $(GUEST_SOURCE)/*.S)
	@echo "  GUEST   $*-64"
	@$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_CFLAGS_64) $(GUEST_LINK) -o $@.64 \
	    $< $(wildcard $(GUEST_SOURCE)/$*.S) $(GUEST_OBJECTS_64)
	@$(GUEST_OBJCOPY) -O elf32-i386 $@.64 $@
	@rm -f $@.64
else
$(GUEST_IMAGES):
	@echo "$@: needs a gcc for x86 (Debian: gcc-x86-64-linux-gnu), or the image that another host has built" >&2; exit 1
endif

.SECONDARY: $(GUEST_OBJECTS_32) $(GUEST_OBJECTS_64)
.PHONY: guests check-guest
guests: $(GUEST_IMAGES)

check-guest: $(BUILD)/myna $(GUEST_IMAGES)
	@MYNA=$(BUILD)/myna GUESTS=$(GUEST_BUILD) ARGUMENTS="$(if $(ENGINE),-accel $(ENGINE)) $(ARGUMENTS)" $(GUEST_SOURCE)/run
