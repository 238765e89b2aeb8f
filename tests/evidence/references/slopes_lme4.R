# als_slope's likelihood by REML: one baseline for both arms, treatment on the slope. Rscript slopes_lme4.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(lme4))

table <- subset(table_of("slopes"), arm != "historical control")
table$treated <- as.numeric(table$arm == "treated")
fit <- lmer(alsfrsr ~ time + time:treated + (time | subject), table, REML = TRUE)
fixed <- coef(summary(fit)); spread <- attr(VarCorr(fit)$subject, "stddev")
one <- function(row) list(estimate = fixed[row, 1], se = fixed[row, 2])
write_reference("slopes_lme4", "likelihood", paste("lme4", packageVersion("lme4"), "REML"), list(
  mean_level = one("(Intercept)"), mean_slope = one("time"), slope_effect = one("time:treated"),
  sd_level = list(estimate = spread[[1]]), sd_slope = list(estimate = spread[[2]]), sd_residual = list(estimate = sigma(fit))), "lme4")
