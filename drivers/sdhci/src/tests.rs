// SPDX-License-Identifier: BSD-2-Clause
//! The driver between a client and a model of controller and card.
