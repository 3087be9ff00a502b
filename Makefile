# One Makefile for everything; folders are lists here.  Objects go to $(BUILD), with their dependencies beside them.
SRC ?= .
BUILD ?= build

FOLDERS = util core cpu hw/intc hw/timer hw/char hw/input hw/display hw/block hw/pci hw/isa hw/acpi hw/misc \
          backends/char backends/block machines debugger
LIB_SOURCES = $(foreach f,$(FOLDERS),$(wildcard $(SRC)/$(f)/*.c))
UNIT_TESTS = $(patsubst $(SRC)/tests/unit/%.c,%,$(wildcard $(SRC)/tests/unit/test_*.c))

.PHONY: all
all: $(BUILD)/myna

# Made on first use; `make run` and `make check` also install what is missing.
$(BUILD)/config.mk: $(SRC)/configure
	@if [ -n "$(filter run check,$(MAKECMDGOALS))" ]; then $(SRC)/scripts/install-deps; fi
	@cd $(SRC) && ./configure --build-dir=$(abspath $(BUILD)) >$(abspath $(BUILD)).log 2>&1 || { cat $(abspath $(BUILD)).log; exit 1; }
ifeq ($(filter clean distclean,$(MAKECMDGOALS)),)
include $(BUILD)/config.mk
endif

CFLAGS = -g -std=c11 -D_GNU_SOURCE -Wall -Wextra -ffp-contract=off -pthread $(CONFIG_CFLAGS) -I$(SRC) -I$(BUILD)
LIBS = $(CONFIG_LIBS) -lm

LIB_OBJECTS = $(LIB_SOURCES:$(SRC)/%.c=$(BUILD)/%.o)

$(BUILD)/%.o: $(SRC)/%.c $(BUILD)/config.mk
	@mkdir -p $(@D)
	@echo "  CC      $*.c"
	@$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/libmyna.a: $(LIB_OBJECTS)
	@echo "  AR      $@"
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/myna: $(BUILD)/main.o $(BUILD)/libmyna.a
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/libmyna.a
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

CPU_TEST_OBJECTS = $(patsubst $(SRC)/%.c,$(BUILD)/%.o,$(wildcard $(SRC)/tests/cpu/*.c))
$(BUILD)/cpu-tests: $(CPU_TEST_OBJECTS) $(BUILD)/libmyna.a
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(LIBS)

.PHONY: unit-tests check-unit
unit-tests: $(UNIT_TESTS:%=$(BUILD)/tests/unit/%)

-include $(LIB_OBJECTS:.o=.d) $(CPU_TEST_OBJECTS:.o=.d) $(BUILD)/main.d $(UNIT_TESTS:%=$(BUILD)/tests/unit/%.d)

.PHONY: clean
clean:
	rm -rf $(BUILD) $(BUILD).log
