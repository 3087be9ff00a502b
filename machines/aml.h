/*
 * Writing ACPI Machine Language (ACPI 6.4 chapter 20): terms are appended to a byte array; those with a body are
 * opened by aml_scope(), aml_device() and the like and closed by aml_close().
 */
#ifndef MYNA_MACHINES_AML_H
#define MYNA_MACHINES_AML_H

#include <glib.h>
#include <stdint.h>

typedef struct Aml Aml;

Aml *aml_new(void);
GByteArray *aml_take(Aml *a); /* frees the writer and gives its bytes to the caller */

/* Names are of four characters, padded here; a leading backslash makes a scope absolute. */
void aml_scope(Aml *a, const char *name);
void aml_device(Aml *a, const char *name);
void aml_package(Aml *a, unsigned elements);
void aml_close(Aml *a);

void aml_name(Aml *a, const char *name); /* the object follows */
void aml_integer(Aml *a, uint64_t v);
void aml_eisa_id(Aml *a, const char *id); /* e.g. "PNP0A03" */

/* A resource template (section 6.4): descriptors between begin and end. */
void aml_resources_begin(Aml *a);
void aml_resource_io(Aml *a, uint16_t first, uint16_t length);
void aml_resource_irq(Aml *a, unsigned irq);
void aml_resource_bus(Aml *a, uint16_t first, uint16_t last);
void aml_resource_io_window(Aml *a, uint16_t first, uint16_t last);
void aml_resource_memory_window(Aml *a, uint32_t first, uint32_t last, gboolean cacheable);
void aml_resources_end(Aml *a);

#endif
