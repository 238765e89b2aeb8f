# als_shared with its default priors. Rscript shared_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("shared"))
one <- d$table[d$first, ]
died <- as.integer(!is.na(one$event))
data <- list(n = d$n, n_rows = d$rows, subject = d$subject, month = d$table$time, score = d$table$alsfrsr,
             treated = as.numeric(d$arm == "treated"), time = ifelse(died == 1, one$event_time, one$end_of_follow_up), died = died)
wanted <- c("mean_level", "sd_level", "mean_rate", "sd_rate", "rate_ratio", "sd_residual", "hazard")
found <- sampled("shared", list(data), wanted, adapt_delta = 0.95)[[1]]
write_reference("shared_stan", "same priors", by_stan(), found, c("rstan", "posterior"))
