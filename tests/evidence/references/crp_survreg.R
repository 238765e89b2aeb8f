# sle_crp without differences between patients: left-censored log-normal regression. Rscript crp_survreg.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(survival))

table <- table_of("crp")
at <- outer(table$time, sort(unique(table$time))[-1], `==`) * 1
on <- at * (table$arm == "treated")
fit <- survreg(Surv(table$crp_mg_dl, table$crp_mg_dl_censored != "True", type = "left") ~ at + on, dist = "lognormal")
fixed <- summary(fit)$table
one <- function(row) list(estimate = fixed[row, "Value"], se = fixed[row, "Std. Error"])
write_reference("crp_survreg", "likelihood", paste("survival", packageVersion("survival"), "survreg, log-normal"), list(
  mean_level = one("(Intercept)"), "time_course[1]" = one("at1"), "time_course[2]" = one("at2"), "effect[1]" = one("on1"),
  "effect[2]" = one("on2"), sd_residual = list(estimate = fit$scale)), "survival")
