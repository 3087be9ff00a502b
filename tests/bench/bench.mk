# The benchmark (tests/bench/run): a program that measures, bare guests, and a program for a Linux guest.
BENCH_SOURCE = $(SRC)/tests/bench
BENCH_BUILD = $(BUILD)/tests/bench
BENCH_HEADERS = $(BENCH_SOURCE)/rows.def $(wildcard $(BENCH_SOURCE)/*.h)
BENCH_IMAGES = $(BENCH_BUILD)/first.elf $(BENCH_BUILD)/micro-32.elf $(BENCH_BUILD)/micro-64.elf

$(BENCH_BUILD)/measure: $(BENCH_SOURCE)/measure.c $(BUILD)/config.mk
	@mkdir -p $(@D)
	@echo "  LINK    $(@F)"
	@$(CC) $(MYNA_CFLAGS) $(LDFLAGS) -o $@ $<

ifneq ($(GUEST_CC),)
# No page of headers in front, which would have to be loaded below 1 MiB.
$(BENCH_BUILD)/first.elf: $(BENCH_SOURCE)/first.S
	@mkdir -p $(@D)
	@$(GUEST_CC) -m32 -nostdlib -static -no-pie -Wl,-n,-Ttext=0x100000,--build-id=none -o $@ $<

$(BENCH_BUILD)/micro-32.elf: $(BENCH_SOURCE)/micro.c $(BENCH_SOURCE)/micro.S $(GUEST_OBJECTS_32) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@echo "  GUEST   micro-32"
	@$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_CFLAGS_32) -I$(SRC) $(GUEST_LINK) -o $@ $(filter %.c %.S %.o,$^)

$(BENCH_BUILD)/micro-64.elf: $(BENCH_SOURCE)/micro.c $(BENCH_SOURCE)/micro.S $(GUEST_OBJECTS_64) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@echo "  GUEST   micro-64"
	@$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_CFLAGS_64) -I$(SRC) $(GUEST_LINK) -o $@.64 $(filter %.c %.S %.o,$^)
	@$(GUEST_OBJCOPY) -O elf32-i386 $@.64 $@
	@rm -f $@.64

# Needs a static C library for x86-64; without one, the rows under Linux are left out.
$(BENCH_BUILD)/init: $(wildcard $(BENCH_SOURCE)/linux*.c) $(BENCH_HEADERS)
	@mkdir -p $(@D)
	@echo "  GUEST   init"
	@$(GUEST_CC) -std=gnu11 -O2 -Wall -Wextra -m64 -static -I$(SRC) -o $@ $(filter %.c,$^) -lm || \
	    { echo "bench: no Linux guest without a static C library for x86-64"; rm -f $@; }
else
$(BENCH_IMAGES) $(BENCH_BUILD)/init:
	@echo "$@: needs a gcc for x86 (Debian: gcc-x86-64-linux-gnu)" >&2; exit 1
endif

.PHONY: bench
bench: $(BUILD)/myna $(BENCH_BUILD)/measure $(BENCH_IMAGES) $(BENCH_BUILD)/init
	@MYNA="$(BUILD)/myna" BENCH="$(BENCH_BUILD)" KERNEL="$(or $(KERNEL),$(BUILD)/guest/vmlinuz)" ROWS="$(ROWS)" \
	    N="$(N)" ENGINES="$(ENGINES)" AGAINST="$(AGAINST)" MSECS="$(MSECS)" $(BENCH_SOURCE)/run
