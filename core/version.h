/* The version, as -version and the monitor say it. */
#ifndef MYNA_CORE_VERSION_H
#define MYNA_CORE_VERSION_H

#define MYNA_VERSION "0.1"

#endif
